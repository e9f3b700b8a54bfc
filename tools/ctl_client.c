/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Talks to quicbondd: connects, sends a line of JSON, reads a line of JSON. What goes wrong is put
 * in words for the person at the terminal. Called by quicbondctl.c.
 */
#include "tools/ctl_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX_BYTES = 64 << 20, TIMEOUT_S = 10 };

static void set_timeout(int fd, int optname, time_t seconds)
{
	struct timeval tv = {.tv_sec = seconds};

	/* Without it a dead daemon means a longer wait, nothing worse. */
	(void)setsockopt(fd, SOL_SOCKET, optname, &tv, sizeof(tv));
}

static const char *connect_hint(int e)
{
	switch (e) {
	case ENOENT:
	case ECONNREFUSED:
		return "is it running? (systemctl status quicbondd)";
	case EACCES:
		return "be root or a member of the socket's group";
	default:
		return "see quicbondd's log";
	}
}

int ctl_connect(struct ctl_client *c, const char *path, char err[CTL_ERR_LEN])
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int rc;

	*c = (struct ctl_client){.fd = -1};
	if (strlen(path) >= sizeof(sa.sun_path)) {
		snprintf(err, CTL_ERR_LEN, "%.160s...: the path is too long", path);
		return -ENAMETOOLONG;
	}
	memcpy(sa.sun_path, path, strlen(path));
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd >= 0) {
		set_timeout(c->fd, SO_SNDTIMEO, TIMEOUT_S);
		set_timeout(c->fd, SO_RCVTIMEO, TIMEOUT_S);
		if (connect(c->fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
			return 0;
	}
	rc = -errno;
	snprintf(err, CTL_ERR_LEN, "quicbondd does not answer on %s: %s; %s", path, strerror(-rc),
		 connect_hint(-rc));
	ctl_disconnect(c);
	return rc;
}

void ctl_disconnect(struct ctl_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	*c = (struct ctl_client){.fd = -1};
}

void ctl_wait_forever(struct ctl_client *c)
{
	set_timeout(c->fd, SO_RCVTIMEO, 0);
}

static int send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* more reads at least one byte behind what is there. */
static int more(struct ctl_client *c)
{
	ssize_t n;

	if (c->off) {
		memmove(c->buf, c->buf + c->off, c->len - c->off);
		c->len -= c->off;
		c->off = 0;
	}
	if (c->len == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 16384;
		char *grown = cap <= ANSWER_MAX_BYTES ? realloc(c->buf, cap) : NULL;

		if (!grown)
			return -EMSGSIZE;
		c->buf = grown;
		c->cap = cap;
	}
	do
		n = recv(c->fd, c->buf + c->len, c->cap - c->len, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	c->len += (size_t)n;
	return 0;
}

const char *ctl_read_line(struct ctl_client *c, char err[CTL_ERR_LEN])
{
	size_t scanned = 0;
	char *nl, *line;
	int rc;

	for (;;) {
		line = c->buf ? c->buf + c->off : NULL;
		nl = c->len > c->off + scanned
			     ? memchr(line + scanned, '\n', c->len - c->off - scanned)
			     : NULL;
		if (nl) {
			*nl = '\0';
			c->off += (size_t)(nl - line) + 1;
			return line;
		}
		scanned = c->len - c->off;
		rc = more(c);
		if (rc) {
			snprintf(err, CTL_ERR_LEN, "quicbondd %s",
				 rc == -EPIPE || rc == -ECONNRESET ? "has closed the connection"
				 : rc == -EAGAIN		   ? "does not answer in time"
								   : strerror(-rc));
			return NULL;
		}
	}
}

json_t *ctl_ask(struct ctl_client *c, json_t *request, char err[CTL_ERR_LEN])
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_t *answer;
	json_error_t why;
	const char *line;
	int rc;

	json_decref(request);
	if (!text) {
		snprintf(err, CTL_ERR_LEN, "the request is not UTF-8");
		return NULL;
	}
	rc = send_all(c->fd, text, strlen(text));
	free(text);
	if (!rc)
		rc = send_all(c->fd, "\n", 1);
	/* A daemon that refuses to listen may still have said why. */
	line = rc && rc != -EPIPE ? NULL : ctl_read_line(c, err);
	if (!line) {
		if (rc)
			snprintf(err, CTL_ERR_LEN, "quicbondd does not listen: %s", strerror(-rc));
		return NULL;
	}
	answer = json_loads(line, 0, &why);
	if (!json_is_object(answer)) {
		json_decref(answer);
		snprintf(err, CTL_ERR_LEN, "quicbondd's answer is not understood: %.160s",
			 why.text);
		return NULL;
	}
	return answer;
}
