/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control server: one UNIX stream socket, up to CLIENTS_MAX clients, a JSON object a line both
 * ways. Main thread only; everything is non-blocking, and its descriptors hang on one epoll
 * descriptor that the daemon's loop waits on.
 *
 * A client is answered in order. While an answer waits for the client to read it, the client's
 * further requests wait in its socket, so what one client can make us hold is bounded. Events for
 * `monitor` are the exception: they do not wait; a subscriber that does not read loses them and is
 * told how many.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/json.h"
#include "ctl/request.h"

enum {
	CLIENTS_MAX = 32,
	LINE_MAX_BYTES = 64 << 10,
	ANSWERS_MAX_BYTES =
		32 << 20, /* unread bytes of one client: a status of a hub full of sites fits */
	LARGE_BYTES = 256 << 10, /* an answer that left many times as much in small pieces behind */
	EVENTS_MAX_BYTES = 64 << 10, /* unread bytes beyond which events are dropped */
	DUMP_FLAGS = JSON_COMPACT | JSON_REAL_PRECISION(15),
	LISTEN_SLOT = CLIENTS_MAX, /* epoll's tag of the listening socket */
};

struct client {
	int fd; /* -1: a free slot */
	uid_t uid;
	bool is_monitor;
	bool is_eof;	 /* it sends no more: close once its answers are out */
	bool is_refused; /* its requests are no longer read: close once the answer is out */
	uint32_t events; /* what epoll waits for */
	char *in;	 /* LINE_MAX_BYTES */
	size_t in_len;
	char *out; /* out[out_off..out_len) is still to be sent */
	size_t out_off, out_len, out_cap;
	uint64_t lost_events;
};

struct qb_ctl {
	int epoll_fd, listen_fd, spare_fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t dev; /* of the socket's file: ours to remove only while it is the same */
	ino_t ino;
	const struct qb_ctl_verbs *verbs;
	void *arg;
	struct client clients[CLIENTS_MAX];
};

/* ---- clients ---- */

static uint32_t slot_of(const struct qb_ctl *c, const struct client *cl)
{
	return (uint32_t)(cl - c->clients);
}

static void close_client(struct client *cl)
{
	close(cl->fd); /* leaves the epoll set by itself */
	free(cl->in);
	free(cl->out);
	*cl = (struct client){.fd = -1};
}

static size_t unsent(const struct client *cl)
{
	return cl->out_len - cl->out_off;
}

/* watch tells epoll what to wait for: room while something is unsent, requests otherwise. */
static void watch(struct qb_ctl *c, struct client *cl)
{
	uint32_t events = unsent(cl) ? EPOLLOUT : 0;
	struct epoll_event ev;

	if (!unsent(cl) && !cl->is_eof && !cl->is_refused)
		events = EPOLLIN;
	if (events == cl->events)
		return;
	ev = (struct epoll_event){.events = events, .data.u32 = slot_of(c, cl)};
	if (epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, cl->fd, &ev) == 0)
		cl->events = events;
}

/* flush sends what the socket takes. Returns 0, or -errno when the client is gone. */
static int flush(struct client *cl)
{
	while (unsent(cl)) {
		ssize_t n = send(cl->fd, cl->out + cl->out_off, unsent(cl), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		cl->out_off += (size_t)n;
	}
	/* A large answer's memory is not kept for the next small one. */
	free(cl->out);
	if (cl->out_cap > LARGE_BYTES)
		malloc_trim(0);
	cl->out = NULL;
	cl->out_off = cl->out_len = cl->out_cap = 0;
	return 0;
}

/* queue appends a line. Returns 0 or -ENOBUFS. */
static int queue(struct client *cl, const char *text, size_t len)
{
	size_t need = cl->out_len + len + 1, cap = QB_MAX(cl->out_cap, (size_t)4096);
	char *grown;

	if (unsent(cl) + len + 1 > ANSWERS_MAX_BYTES)
		return -ENOBUFS;
	while (cap < need)
		cap *= 2;
	if (cap != cl->out_cap) {
		grown = realloc(cl->out, cap);
		if (!grown)
			return -ENOBUFS;
		cl->out = grown;
		cl->out_cap = cap;
	}
	memcpy(cl->out + cl->out_len, text, len);
	cl->out[cl->out_len + len] = '\n';
	cl->out_len = need;
	return 0;
}

/* queue_json takes the object. An answer that cannot be had or is too large becomes an error. */
static void queue_json(struct client *cl, json_t *j)
{
	static const char failed[] = "{\"schema\":1,\"error\":\"the answer is too large\"}";
	char *text = j ? json_dumps(j, DUMP_FLAGS) : NULL;

	json_decref(j);
	if (!text || queue(cl, text, strlen(text)))
		cl->is_refused = queue(cl, failed, strlen(failed)) != 0;
	free(text);
}

/* serve_lines answers what has come in, as long as the client reads the answers. Returns 0 or
 * -errno. */
static int serve_lines(struct qb_ctl *c, struct client *cl)
{
	size_t off = 0;
	char *nl;

	while (!unsent(cl) && !cl->is_refused &&
	       (nl = memchr(cl->in + off, '\n', cl->in_len - off)) != NULL) {
		struct qb_ctl_request r = {.verbs = c->verbs, .arg = c->arg, .uid = cl->uid};
		size_t len = (size_t)(nl - (cl->in + off));

		queue_json(cl, qb_ctl_answer(&r, cl->in + off, len));
		cl->is_monitor |= r.is_monitor;
		off += len + 1;
		if (flush(cl))
			return -EPIPE;
	}
	memmove(cl->in, cl->in + off, cl->in_len - off);
	cl->in_len -= off;
	if (cl->in_len == LINE_MAX_BYTES && !memchr(cl->in, '\n', cl->in_len) && !unsent(cl)) {
		cl->is_refused = true;
		cl->in_len = 0;
		queue_json(cl, qb_ctl_error("the request is longer than 64 KB"));
		return flush(cl);
	}
	return 0;
}

/* read_some takes in what fits. Returns 0, or -errno when the client is gone. */
static int read_some(struct client *cl)
{
	ssize_t n;

	if (cl->in_len == LINE_MAX_BYTES)
		return 0;
	n = recv(cl->fd, cl->in + cl->in_len, LINE_MAX_BYTES - cl->in_len, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		cl->is_eof = true;
	cl->in_len += (size_t)n;
	return 0;
}

static bool has_line(const struct client *cl)
{
	return cl->in_len && memchr(cl->in, '\n', cl->in_len);
}

/* A subscriber that has closed its sending side only still listens. */
static bool is_done(const struct client *cl, uint32_t events)
{
	if (cl->is_refused)
		return true;
	return cl->is_eof && !has_line(cl) && (!cl->is_monitor || (events & EPOLLHUP));
}

static void serve_client(struct qb_ctl *c, struct client *cl, uint32_t events)
{
	int rc = 0;

	if (events & EPOLLERR)
		rc = -EPIPE;
	if (!rc && (events & EPOLLOUT))
		rc = flush(cl);
	if (!rc && (events & (EPOLLIN | EPOLLHUP)) && !unsent(cl) && !cl->is_eof)
		rc = read_some(cl);
	if (!rc)
		rc = serve_lines(c, cl);
	/* Hung up both ways, with bytes that it will never read. */
	if (!rc && (events & EPOLLHUP) && unsent(cl))
		rc = -EPIPE;
	if (rc || (!unsent(cl) && is_done(cl, events)))
		close_client(cl);
	else
		watch(c, cl);
}

/* ---- accepting ---- */

static void refuse_client(int fd)
{
	static const char text[] = "{\"schema\":1,\"error\":\"too many clients\"}\n";

	/* Best effort: its buffer is empty, so this fits. */
	if (send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		qb_dbg("control: refused client: %s", strerror(errno));
	close(fd);
}

static void add_client(struct qb_ctl *c, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct client *cl = NULL;
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t len = sizeof(cred);
	char *in;

	for (uint32_t i = 0; i < CLIENTS_MAX && !cl; i++)
		if (c->clients[i].fd < 0)
			cl = &c->clients[i];
	in = cl ? malloc(LINE_MAX_BYTES) : NULL;
	if (!in) {
		refuse_client(fd);
		return;
	}
	/* Who may connect is the socket file's permissions; this is for the log. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		qb_dbg("control: SO_PEERCRED: %s", strerror(errno));
	*cl = (struct client){.fd = fd, .uid = cred.uid, .events = EPOLLIN, .in = in};
	ev.data.u32 = slot_of(c, cl);
	if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		close_client(cl);
}

/*
 * accept_clients takes all that wait. Without a free descriptor the spare one is given up for a
 * moment, to turn the client away; else the level-triggered loop would spin.
 */
static void accept_clients(struct qb_ctl *c)
{
	int fd;

	for (uint32_t i = 0; i < 2 * CLIENTS_MAX; i++) {
		fd = accept4(c->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			add_client(c, fd);
			continue;
		}
		if (errno != EMFILE && errno != ENFILE)
			return;
		close(c->spare_fd);
		fd = accept4(c->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			refuse_client(fd);
		c->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return;
	}
}

int qb_ctl_fd(const struct qb_ctl *c)
{
	return c->epoll_fd;
}

void qb_ctl_process(struct qb_ctl *c)
{
	struct epoll_event evs[CLIENTS_MAX + 1];
	int n = epoll_wait(c->epoll_fd, evs, QB_ARRAY_LEN(evs), 0);
	bool is_knocking = false;

	for (int i = 0; i < n; i++) {
		uint32_t slot = evs[i].data.u32;

		if (slot == LISTEN_SLOT)
			is_knocking = true;
		else if (c->clients[slot].fd >= 0)
			serve_client(c, &c->clients[slot], evs[i].events);
	}
	/* Last: a slot that was freed above must not meet an event of its former client. */
	if (is_knocking)
		accept_clients(c);
}

/* ---- events ---- */

static void emit_to(struct qb_ctl *c, struct client *cl, const char *text)
{
	char lost[96];

	if (unsent(cl) + strlen(text) > EVENTS_MAX_BYTES) {
		cl->lost_events++;
		return;
	}
	if (cl->lost_events) {
		snprintf(lost, sizeof(lost), "{\"schema\":%d,\"event\":\"lost\",\"count\":%llu}",
			 QB_CTL_SCHEMA, (unsigned long long)cl->lost_events);
		if (queue(cl, lost, strlen(lost)))
			return;
		cl->lost_events = 0;
	}
	if (queue(cl, text, strlen(text)))
		cl->lost_events++;
	/* One that is gone stays until epoll says so: an event may be emitted while its request is
	 * served. */
	if (flush(cl) == 0)
		watch(c, cl);
}

void qb_ctl_emit(struct qb_ctl *c, const struct qb_ctl_event *ev)
{
	char *text = NULL;
	json_t *j;

	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *cl = &c->clients[i];

		if (cl->fd < 0 || !cl->is_monitor)
			continue;
		if (!text) {
			j = qb_json_event(ev);
			text = j ? json_dumps(j, DUMP_FLAGS) : NULL;
			json_decref(j);
			if (!text)
				return;
		}
		emit_to(c, cl, text);
	}
	free(text);
}

/* ---- the socket ---- */

static int QB_PRINTF(3, 4) failed(char *err, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, QB_CTL_ERR_LEN, fmt, ap);
	va_end(ap);
	return rc;
}

/* is_answered tells whether somebody accepts connections on the path. */
static bool is_answered(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return true; /* not known: leave it alone */
	rc = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) ? errno : 0;
	close(fd);
	return rc != ECONNREFUSED && rc != ENOENT;
}

/* bind_path binds, in place of a socket that a daemon which is no more has left behind. */
static int bind_path(int fd, const struct sockaddr_un *sa, char *err)
{
	struct stat st;

	if (bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return failed(err, -errno, "%s: %s", sa->sun_path, strerror(errno));
	if (lstat(sa->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return failed(err, -EEXIST, "%s exists and is no socket", sa->sun_path);
	if (is_answered(sa))
		return failed(err, -EADDRINUSE, "%s: another quicbondd answers there",
			      sa->sun_path);
	unlink(sa->sun_path);
	if (bind(fd, (const struct sockaddr *)sa, sizeof(*sa)))
		return failed(err, -errno, "%s: %s", sa->sun_path, strerror(errno));
	return 0;
}

/* open_to lets root and the group in. Nobody can connect before listen(), so there is no moment of
 * laxity. */
static int open_to(const char *path, const char *group, char *err)
{
	struct group *gr = NULL;

	if (group && *group) {
		gr = getgrnam(group);
		if (!gr)
			qb_warn("control: there is no group %s: only root can use %s", group, path);
	}
	if (gr && chown(path, (uid_t)-1, gr->gr_gid))
		return failed(err, -errno, "%s: group %s: %s", path, group, strerror(errno));
	if (chmod(path, gr || !group || !*group ? 0660 : 0600))
		return failed(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

static void make_parent(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = '\0';
		/* bind() tells what is wrong if it is. */
		if (mkdir(dir, 0755) && errno != EEXIST)
			qb_dbg("control: %s: %s", dir, strerror(errno));
	}
}

static int open_listener(struct qb_ctl *c, const char *group, char *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = LISTEN_SLOT};
	struct stat st;
	int rc;

	memcpy(sa.sun_path, c->path, sizeof(sa.sun_path));
	make_parent(c->path);
	c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->listen_fd < 0)
		return failed(err, -errno, "control socket: %s", strerror(errno));
	rc = bind_path(c->listen_fd, &sa, err);
	if (rc)
		return rc;
	if (lstat(c->path, &st) == 0) {
		c->dev = st.st_dev;
		c->ino = st.st_ino;
	}
	rc = open_to(c->path, group, err);
	if (rc)
		return rc;
	if (listen(c->listen_fd, CLIENTS_MAX) ||
	    epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->listen_fd, &ev))
		return failed(err, -errno, "%s: %s", c->path, strerror(errno));
	return 0;
}

int qb_ctl_open(const char *path, const char *group, const struct qb_ctl_verbs *verbs, void *arg,
		struct qb_ctl **out, char *err)
{
	struct qb_ctl *c;
	int rc;

	*out = NULL;
	err[0] = '\0';
	if (strlen(path) >= sizeof(c->path))
		return failed(err, -ENAMETOOLONG, "%.160s...: the path is too long", path);
	c = calloc(1, sizeof(*c));
	if (!c)
		return failed(err, -ENOMEM, "out of memory");
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->verbs = verbs;
	c->arg = arg;
	c->listen_fd = -1;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		c->clients[i].fd = -1;
	c->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->epoll_fd < 0)
		rc = failed(err, -errno, "epoll: %s", strerror(errno));
	else
		rc = open_listener(c, group, err);
	if (rc) {
		qb_ctl_close(c);
		return rc;
	}
	*out = c;
	return 0;
}

void qb_ctl_close(struct qb_ctl *c)
{
	struct stat st;

	if (!c)
		return;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i].fd >= 0)
			close_client(&c->clients[i]);
	if (c->ino && lstat(c->path, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino)
		unlink(c->path);
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
	if (c->spare_fd >= 0)
		close(c->spare_fd);
	free(c);
}
