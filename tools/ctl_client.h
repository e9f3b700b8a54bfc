/* SPDX-License-Identifier: BSD-2-Clause */
/* quicbondctl's end of the control socket: blocking, one request at a time. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { CTL_ERR_LEN = 320 };

struct ctl_client {
	int fd;
	char *buf; /* what was read and not yet taken */
	size_t len, off, cap;
};

/* ctl_connect returns 0, or -errno with a message for the user in err. */
int ctl_connect(struct ctl_client *c, const char *path, char err[CTL_ERR_LEN]);
void ctl_disconnect(struct ctl_client *c);
/* ctl_ask sends a request (takes it) and returns the answer, a new reference; NULL with err set. */
json_t *ctl_ask(struct ctl_client *c, json_t *request, char err[CTL_ERR_LEN]);
/* ctl_read_line returns the next line without its newline, valid until the next call; NULL with err
 * set. */
const char *ctl_read_line(struct ctl_client *c, char err[CTL_ERR_LEN]);
/* ctl_wait_forever: from now on the daemon may be silent as long as it likes (monitor). */
void ctl_wait_forever(struct ctl_client *c);
