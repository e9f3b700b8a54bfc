/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The folder for what a daemon keeps over a restart. It is opened while we are root and given to
 * whom we become; its files are read and written after that, on the main thread, and each is whole
 * or not there at all.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_LEN = 128 };

static const char default_path[] = "/var/lib/quicbond";

/* give_away makes a folder that was made for us the user's. */
static int give_away(int fd, const char *user)
{
	struct stat st;
	uid_t uid;
	gid_t gid;
	int ret = qb_privs_user(user, &uid, &gid);

	if (ret || fstat(fd, &st) || st.st_uid == uid)
		return ret;
	return fchown(fd, uid, gid) ? -errno : 0;
}

const char *qb_statedir_path(bool *is_given)
{
	const char *given = getenv("STATE_DIRECTORY"); /* systemd's StateDirectory= */

	*is_given = given && *given;
	return *is_given ? given : default_path;
}

int qb_statedir_open(const char *user, struct qb_statedir *s, char err[160])
{
	bool is_given;
	const char *path = qb_statedir_path(&is_given);
	bool is_ours = mkdir(path, 0700) == 0 || is_given;
	int ret = 0;

	s->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		ret = -errno;
	else if (is_ours)
		ret = give_away(s->fd, user);
	if (ret) {
		snprintf(err, 160, "%.90s: %s", path, strerror(-ret));
		qb_statedir_close(s);
	}
	return ret;
}

void qb_statedir_close(struct qb_statedir *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

int qb_statedir_read(const struct qb_statedir *s, const char *name, void *out, size_t cap)
{
	int fd = s->fd < 0 ? -1 : openat(s->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return s->fd < 0 ? -ENOENT : -errno;
	while (len < cap && (n = read(fd, (char *)out + len, cap - len)) > 0)
		len += (size_t)n;
	n = n < 0 ? -errno : 0;
	close(fd);
	return n < 0 ? (int)n : (int)len;
}

static int write_all(int fd, const void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return fdatasync(fd) ? -errno : 0;
}

int qb_statedir_write(const struct qb_statedir *s, const char *name, const void *data, size_t len)
{
	char temp[NAME_LEN];
	int fd, ret;

	if (s->fd < 0)
		return -ENOENT;
	snprintf(temp, sizeof(temp), "%s.new", name);
	fd = openat(s->fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	ret = write_all(fd, data, len);
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret && renameat(s->fd, temp, s->fd, name))
		ret = -errno;
	if (ret)
		(void)unlinkat(s->fd, temp, 0);
	return ret;
}

void *qb_statedir_map(const struct qb_statedir *s, const char *name, size_t bytes, bool *is_new)
{
	int fd = s->fd < 0 ? -1
			   : openat(s->fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	void *mem = MAP_FAILED;
	struct stat st;

	*is_new = true;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0) {
		*is_new = (size_t)st.st_size != bytes;
		/* All blocks now: a full disk must not be found out by a write to memory. */
		if ((!*is_new || ftruncate(fd, 0) == 0) &&
		    posix_fallocate(fd, 0, (off_t)bytes) == 0)
			mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	close(fd);
	return mem == MAP_FAILED ? NULL : mem;
}

void qb_statedir_unmap(void *mem, size_t bytes)
{
	if (!mem)
		return;
	(void)msync(mem, bytes, MS_SYNC);
	munmap(mem, bytes);
}

bool qb_boot_id(char out[QB_BOOT_ID_LEN])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, QB_BOOT_ID_LEN - 1);

	if (fd >= 0)
		close(fd);
	memset(out + (n > 0 ? n : 0), 0, QB_BOOT_ID_LEN - (size_t)(n > 0 ? n : 0));
	return n > 0;
}
