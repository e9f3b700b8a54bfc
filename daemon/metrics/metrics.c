/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP side of `/metrics`, by libmicrohttpd without threads: its epoll descriptor hangs in the
 * daemon's loop. A scrape asks the daemon as a client of the control socket does, on the main
 * thread.
 */
#include "metrics/metrics.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum {
	CLIENTS_MAX = 8,
	WAITING_MAX = 64,
	IDLE_S = 15,
	REQUEST_MAX_BYTES = 8 << 10,
};

struct qb_metrics {
	struct MHD_Daemon *http;
	const struct qb_ctl_verbs *verbs;
	void *arg;
};

/* ---- answers ---- */

/* answer takes text (from malloc). */
static enum MHD_Result answer(struct MHD_Connection *c, unsigned int code, const char *type,
			      char *text, size_t len)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result ret;

	if (!r) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ret = MHD_queue_response(c, code, r);
	MHD_destroy_response(r);
	return ret;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned int code, const char *text)
{
	char *copy = strdup(text);

	return copy ? answer(c, code, "text/plain; charset=utf-8", copy, strlen(copy)) : MHD_NO;
}

static char *collect(struct qb_metrics *m, size_t *len)
{
	struct qb_io_status *io = calloc(1, sizeof(*io));
	struct qb_status *st = calloc(1, sizeof(*st));
	char err[QB_CTL_ERR_LEN] = "", *text = NULL;

	if (io && st && m->verbs->status(m->arg, st, err) == 0) {
		if (m->verbs->io && m->verbs->io(m->arg, io, err))
			memset(io, 0, sizeof(*io));
		text = qb_metrics_text(st, io, len);
		if (m->verbs->status_done)
			m->verbs->status_done(m->arg, st);
	}
	free(io);
	free(st);
	return text;
}

static enum MHD_Result scrape(struct qb_metrics *m, struct MHD_Connection *c)
{
	size_t len = 0;
	char *text = collect(m, &len);

	if (!text)
		return say(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "the figures cannot be had now\n");
	return answer(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, len);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path,
				  const char *method, const char *version, const char *body,
				  size_t *body_len, void **state)
{
	static int has_begun;

	(void)version, (void)body;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (*state !=
	    &has_begun) { /* the request line and its fields; what follows is a body, or nothing */
		*state = &has_begun;
		return MHD_YES;
	}
	*body_len = 0;
	if (strcmp(path, "/metrics") == 0)
		return scrape(arg, c);
	return say(c, MHD_HTTP_NOT_FOUND, "there is /metrics\n");
}

static void QB_PRINTF(2, 0) on_log(void *arg, const char *fmt, va_list ap)
{
	char line[256];

	(void)arg;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	qb_dbg("metrics: %s", line);
}

/* ---- the listener ---- */

static int listen_on(const struct qb_addr *a)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope_id};
	int one = 1,
	    fd = socket(a->family == 6 ? AF_INET6 : AF_INET,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
	    ret;

	if (fd < 0)
		return -errno;
	memcpy(&sin.sin_addr, a->ip, sizeof(sin.sin_addr));
	memcpy(&sin6.sin6_addr, a->ip, sizeof(sin6.sin6_addr));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    (a->family == 6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
	    (a->family == 6 ? bind(fd, (const struct sockaddr *)&sin6, sizeof(sin6))
			    : bind(fd, (const struct sockaddr *)&sin, sizeof(sin))) ||
	    listen(fd, WAITING_MAX)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

int qb_metrics_open(const struct qb_addr *addr, const struct qb_ctl_verbs *verbs, void *arg,
		    struct qb_metrics **out, char *err)
{
	char text[QB_ADDR_STRLEN];
	struct qb_metrics *m;
	int fd = listen_on(addr);

	*out = NULL;
	if (fd < 0) {
		snprintf(err, QB_CTL_ERR_LEN, "[Metrics] Listen: %s: %s",
			 qb_addr_format(addr, text), strerror(-fd));
		return fd;
	}
	m = calloc(1, sizeof(*m));
	if (m) {
		*m = (struct qb_metrics){.verbs = verbs, .arg = arg};
		m->http = MHD_start_daemon(
			MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, m,
			MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
			MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT,
			(unsigned int)CLIENTS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
			(unsigned int)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			(size_t)REQUEST_MAX_BYTES, MHD_OPTION_END);
	}
	if (!m || !m->http) {
		snprintf(err, QB_CTL_ERR_LEN, "[Metrics] Listen: no HTTP server could be started");
		close(fd);
		free(m);
		return -ENOMEM;
	}
	*out = m;
	return 0;
}

void qb_metrics_close(struct qb_metrics *m)
{
	if (m)
		MHD_stop_daemon(m->http); /* with the listener */
	free(m);
}

int qb_metrics_fd(const struct qb_metrics *m)
{
	const union MHD_DaemonInfo *info =
		m ? MHD_get_daemon_info(m->http, MHD_DAEMON_INFO_EPOLL_FD) : NULL;

	return info ? info->epoll_fd : -1;
}

void qb_metrics_process(struct qb_metrics *m)
{
	if (m)
		MHD_run(m->http);
}
