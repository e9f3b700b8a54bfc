/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: a line in, a line out, any number of times. "set WORDS" answers "ok", "stats"
 * answers JSON, "quit" ends the program; what fails answers "error: why". Small enough that each
 * client is served to the end.
 */
#include "tools/netem_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/os.h"

enum { CLIENTS_MAX = 8, LINE_MAX_BYTES = 2048 };

struct session {
	struct qb_netem_source source; /* fd -1: free */
	struct qb_netem_control *control;
	size_t len;
	char line[LINE_MAX_BYTES];
};

struct qb_netem_control {
	struct qb_netem_source source;
	struct qb_netem_host *host;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct session sessions[CLIENTS_MAX];
	char answer[QB_NETEM_ANSWER_LEN];
};

static int fill_addr(struct sockaddr_un *sun, const char *path)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	strcpy(sun->sun_path, path);
	return 0;
}

/* ---- server ---- */

static size_t make_answer(struct qb_netem_control *c, const char *line)
{
	struct qb_netem_host *h = c->host;
	uint64_t now_ns = qb_now_ns();
	char err[QB_NETEM_ERR_LEN];

	if (strncmp(line, "set ", 4) == 0) {
		if (qb_netem_link_set(&h->link, line + 4, now_ns, err))
			return (size_t)snprintf(c->answer, sizeof(c->answer), "error: %s\n", err);
		return (size_t)snprintf(c->answer, sizeof(c->answer), "ok\n");
	}
	if (strcmp(line, "stats") == 0) {
		h->poll(h->backend, now_ns);
		return qb_netem_link_json(&h->link, now_ns, c->answer, sizeof(c->answer));
	}
	if (strcmp(line, "quit") == 0) {
		h->is_stopping = true;
		return (size_t)snprintf(c->answer, sizeof(c->answer), "ok\n");
	}
	return (size_t)snprintf(c->answer, sizeof(c->answer),
				"error: the commands are set, stats and quit\n");
}

static void session_close(struct session *s)
{
	close(s->source.fd);
	s->source.fd = -1;
}

static uint32_t session_ready(struct qb_netem_source *src, uint64_t now_ns)
{
	struct session *s = QB_CONTAINER_OF(src, struct session, source);
	ssize_t n;
	char *nl;

	(void)now_ns;
	if (src->fd < 0)
		return 0;
	n = recv(src->fd, s->line + s->len, sizeof(s->line) - 1 - s->len, MSG_DONTWAIT);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			session_close(s);
		return 0;
	}
	s->len += (size_t)n;
	s->line[s->len] = '\0';
	while ((nl = memchr(s->line, '\n', s->len))) {
		size_t used = (size_t)(nl + 1 - s->line), len;

		*nl = '\0';
		len = make_answer(s->control, s->line);
		if (send(src->fd, s->control->answer, len, MSG_DONTWAIT | MSG_NOSIGNAL) !=
		    (ssize_t)len) {
			session_close(s);
			return 0;
		}
		memmove(s->line, s->line + used, s->len - used + 1);
		s->len -= used;
	}
	if (s->len == sizeof(s->line) - 1)
		session_close(s);
	return 0;
}

static uint32_t control_ready(struct qb_netem_source *src, uint64_t now_ns)
{
	struct qb_netem_control *c = QB_CONTAINER_OF(src, struct qb_netem_control, source);
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)now_ns;
	for (uint32_t i = 0; i < CLIENTS_MAX && fd >= 0; i++) {
		struct session *s = &c->sessions[i];

		if (s->source.fd >= 0)
			continue;
		*s = (struct session){.source = {fd, session_ready}, .control = c};
		if (qb_netem_host_watch(c->host, &s->source))
			session_close(s);
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return 0;
}

/* remove_stale takes away the socket of one that ended without doing so; anything else stays. */
static void remove_stale(const struct sockaddr_un *sun)
{
	struct stat st;
	int fd;

	if (lstat(sun->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) && errno == ECONNREFUSED)
		unlink(sun->sun_path);
	close(fd);
}

int qb_netem_control_open(struct qb_netem_host *h, const char *path, struct qb_netem_control **out)
{
	struct qb_netem_control *c;
	struct sockaddr_un sun;
	int ret = fill_addr(&sun, path);

	if (ret)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->host = h;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		c->sessions[i].source.fd = -1;
	c->source.on_ready = control_ready;
	c->source.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->source.fd < 0) {
		ret = -errno;
		free(c);
		return ret;
	}
	remove_stale(&sun);
	if (bind(c->source.fd, (struct sockaddr *)&sun, sizeof(sun)))
		ret = -errno;
	else
		strcpy(c->path, path);
	if (!ret && listen(c->source.fd, CLIENTS_MAX))
		ret = -errno;
	if (!ret)
		ret = qb_netem_host_watch(h, &c->source);
	if (ret) {
		qb_netem_control_close(c);
		return ret;
	}
	*out = c;
	return 0;
}

void qb_netem_control_close(struct qb_netem_control *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		if (c->sessions[i].source.fd >= 0)
			session_close(&c->sessions[i]);
	close(c->source.fd);
	if (c->path[0])
		unlink(c->path);
	free(c);
}

/* ---- client ---- */

static int send_line(int fd, const char *line)
{
	char buf[LINE_MAX_BYTES];
	int len = snprintf(buf, sizeof(buf), "%s\n", line);

	if (len < 0 || (size_t)len >= sizeof(buf) - 1)
		return -EMSGSIZE;
	return send(fd, buf, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -EIO;
}

static int read_answer(int fd, char buf[QB_NETEM_ANSWER_LEN], char err[QB_NETEM_ERR_LEN])
{
	size_t len = 0;

	while (len == 0 || buf[len - 1] != '\n') {
		ssize_t n = recv(fd, buf + len, QB_NETEM_ANSWER_LEN - len, 0);

		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		len += (size_t)n;
	}
	buf[len - 1] = '\0';
	if (strncmp(buf, "error: ", 7))
		return 0;
	snprintf(err, QB_NETEM_ERR_LEN, "%.*s", QB_NETEM_ERR_LEN - 1, buf + 7);
	return -EREMOTEIO;
}

int qb_netem_control_ask(const char *path, const char *line, char answer[QB_NETEM_ANSWER_LEN],
			 char err[QB_NETEM_ERR_LEN])
{
	struct timeval patience = {.tv_sec = 5};
	struct sockaddr_un sun;
	int fd = -1, ret = fill_addr(&sun, path);

	err[0] = '\0';
	if (!ret) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ret = fd < 0 ? -errno : 0;
	}
	if (!ret)
		ret = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ? -errno
											   : 0;
	if (!ret)
		ret = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) ? -errno : 0;
	if (!ret)
		ret = send_line(fd, line);
	if (!ret)
		ret = read_answer(fd, answer, err);
	if (ret && err[0] == '\0')
		snprintf(err, QB_NETEM_ERR_LEN, "%.90s: %s", path, strerror(-ret));
	if (fd >= 0)
		close(fd);
	return ret;
}
