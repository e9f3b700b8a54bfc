/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `/metrics`: what the daemon counts and measures, for Prometheus, over HTTP. Read-only, on the
 * main thread, never blocks on a client. The figures are those of the control socket's verbs
 * `status` and `io`.
 */
#pragma once

#include "ctl/ctl.h"

struct qb_metrics;

/*
 * qb_metrics_open listens on an address. verbs and arg as of qb_ctl_open; status and io are used.
 * Returns 0, or -errno with why in err (QB_CTL_ERR_LEN).
 */
int qb_metrics_open(const struct qb_addr *addr, const struct qb_ctl_verbs *verbs, void *arg,
		    struct qb_metrics **out, char *err) QB_MUST_CHECK;
/* qb_metrics_close stops at once. m may be NULL, here and below. */
void qb_metrics_close(struct qb_metrics *m);
/* qb_metrics_fd is an epoll descriptor that covers the listener and its clients; -1 for NULL. */
int qb_metrics_fd(const struct qb_metrics *m);
/* qb_metrics_process serves what is ready, and ends what has been idle for too long: also call it
 * about once a second. */
void qb_metrics_process(struct qb_metrics *m);

/* qb_metrics_text writes the figures in Prometheus' text format, 0.0.4 (free with free). NULL: out
 * of memory. */
char *qb_metrics_text(const struct qb_status *st, const struct qb_io_status *io, size_t *len);
