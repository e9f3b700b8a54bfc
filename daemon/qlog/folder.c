/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where traces are written: the folder is given by name below a root that only the administrator
 * chooses, every file is made new in it, and no link is followed: who may ask for a trace can
 * neither write elsewhere nor over anything.
 */
#include "qlog/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qlog/qlog.h"

static const char suffix[] = ".sqlog";

/* ---- below the root ---- */

static bool is_plain_name(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return name[0] && name[0] != '.' && strlen(name) < QB_QLOG_NAME_LEN &&
	       strspn(name, allowed) == strlen(name);
}

/* below takes root off the front of a path. NULL: it leads elsewhere. */
static const char *below(const char *root, const char *name)
{
	size_t len = strlen(root);

	if (name[0] != '/')
		return name;
	if (strncmp(name, root, len) != 0)
		return NULL;
	name += len;
	return *name == '\0' ? name : *name == '/' ? name + 1 : NULL;
}

static int open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* make_dir opens a folder and makes it first where it is missing. */
static int make_dir(int at, const char *name)
{
	int fd = open_dir(at, name);

	if (fd != -ENOENT)
		return fd;
	if (mkdirat(at, name, 0750) && errno != EEXIST)
		return -errno;
	return open_dir(at, name);
}

static int check_writable(int fd)
{
	return faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) ? -errno : 0;
}

int qb_qlog_open_folder(const char *root, const char *name, char folder[QB_QLOG_PATH_LEN],
			char err[QB_QLOG_ERR_LEN])
{
	const char *rest = below(root, name ? name : "");
	int fd, sub, ret;

	if (!rest || (rest[0] && !is_plain_name(rest))) {
		snprintf(err, QB_QLOG_ERR_LEN,
			 "traces are written to %.96s or to a folder right in it; give its name, "
			 "of letters, "
			 "digits, '.', '_' and '-'",
			 root);
		return -EINVAL;
	}
	snprintf(folder, QB_QLOG_PATH_LEN, "%.120s%s%.120s", root, rest[0] ? "/" : "", rest);
	fd = make_dir(AT_FDCWD, root);
	if (fd >= 0 && rest[0]) {
		sub = make_dir(fd, rest);
		close(fd);
		fd = sub;
	}
	ret = fd < 0 ? fd : check_writable(fd);
	if (ret < 0) {
		snprintf(err, QB_QLOG_ERR_LEN, "cannot write to %.180s: %s", folder,
			 strerror(-ret));
		if (fd >= 0)
			close(fd);
		return ret;
	}
	return fd;
}

/* ---- its files ---- */

static void append(struct qb_qlog_folder *d, struct qb_qlog_file *f)
{
	if (d->newest)
		d->newest->next = f;
	else
		d->oldest = f;
	d->newest = f;
	d->bytes += f->bytes;
}

static struct qb_qlog_file *new_file(const char *name, uint64_t bytes)
{
	struct qb_qlog_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	snprintf(f->name, sizeof(f->name), "%.*s", QB_QLOG_NAME_LEN - 1, name);
	f->bytes = bytes;
	return f;
}

static int is_trace(const struct dirent *e)
{
	size_t len = strlen(e->d_name), tail = sizeof(suffix) - 1;

	return len > tail && len < QB_QLOG_NAME_LEN && strcmp(e->d_name + len - tail, suffix) == 0;
}

/* take_old lists the traces of earlier times. Their names begin with the time, so that their order
 * is theirs by age. */
static int take_old(struct qb_qlog_folder *d)
{
	struct dirent **list = NULL;
	int cnt = scandirat(d->fd, ".", &list, is_trace, alphasort), i;

	if (cnt < 0)
		return -errno;
	for (i = 0; i < cnt; i++) {
		struct qb_qlog_file *f;
		struct stat st;

		if (fstatat(d->fd, list[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode)) {
			f = new_file(list[i]->d_name, (uint64_t)st.st_size);
			if (f)
				append(d, f);
		}
		free(list[i]);
	}
	free(list);
	return 0;
}

int qb_qlog_folder_init(struct qb_qlog_folder *d, int fd, uint64_t bytes_max)
{
	*d = (struct qb_qlog_folder){.fd = fd, .bytes_max = bytes_max};
	return take_old(d);
}

void qb_qlog_folder_fini(struct qb_qlog_folder *d)
{
	struct qb_qlog_file *f;

	while ((f = d->oldest)) {
		d->oldest = f->next;
		free(f);
	}
	close(d->fd);
}

int qb_qlog_folder_create(struct qb_qlog_folder *d, const char *name, struct qb_qlog_file **out)
{
	struct qb_qlog_file *f = new_file(name, 0);
	int fd;

	if (!f)
		return -ENOMEM;
	fd = openat(d->fd, f->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0) {
		free(f);
		return -errno;
	}
	/* Whoever may read the folder may read the traces, whatever our umask is. */
	(void)!fchmod(fd, 0640);
	f->is_open = true;
	append(d, f);
	*out = f;
	return fd;
}

static void drop(struct qb_qlog_folder *d, struct qb_qlog_file *prev, struct qb_qlog_file *f)
{
	(void)unlinkat(d->fd, f->name, 0);
	d->bytes -= f->bytes;
	if (prev)
		prev->next = f->next;
	else
		d->oldest = f->next;
	if (d->newest == f)
		d->newest = prev;
	free(f);
}

void qb_qlog_folder_grow(struct qb_qlog_folder *d, struct qb_qlog_file *f, size_t bytes)
{
	struct qb_qlog_file *old = d->oldest, *prev = NULL, *next;

	f->bytes += bytes;
	d->bytes += bytes;
	for (; old && d->bytes > d->bytes_max; old = next) {
		next = old->next;
		if (old->is_open)
			prev = old;
		else
			drop(d, prev, old);
	}
}
