/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The joiner under a daemon that is not itself any more, and beside users who would like to have
 * programs taken out: it keeps root's rights, so it believes neither. Its work with dispatchers is
 * tested in the emulated machine.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/join.h"

enum { LO = 1, NOBODY = 65534 };

static char root[64];
static int sock;
static pid_t joiner;

static void begin(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	joiner = fork();
	ck_assert_int_ge(joiner, 0);
	if (joiner == 0) {
		close(pair[0]);
		qb_joiner_run(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	sock = pair[0];
}

static void end(void)
{
	int status;

	close(sock);
	ck_assert_int_eq(waitpid(joiner, &status, 0), joiner);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void setup(void)
{
	snprintf(root, sizeof(root), "/tmp/quicbond-join-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	setenv("LIBXDP_BPFFS", root, 1);
}

static void teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	ck_assert_int_eq(system(cmd), 0);
}

/* ---- messages ---- */

static uint32_t open_files(void)
{
	char path[64];
	uint32_t cnt = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)joiner);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		cnt++;
	closedir(dir);
	return cnt;
}

static const struct {
	int verb;
	uint32_t fd_cnt, worker_cnt, queue_cnt;
	uint8_t is_server, is_native; /* as bytes */
	int rc;
} rows[] = {
	{QB_JOIN_ENTER, 0, 1, 1, 0, 0, -EBUSY}, /* sound, but there is no dispatcher */
	{QB_JOIN_ENTER, QB_JOIN_GUARD_MAPS, 1, 1, 1, 1, -EBUSY},
	{QB_JOIN_ENTER, 0, 1, 1, 1, 0, -EINVAL},
	{QB_JOIN_ENTER, QB_JOIN_GUARD_MAPS, 1, 1, 0, 0, -EINVAL},
	{QB_JOIN_ENTER, QB_JOIN_FDS_MAX, 1, 1, 1, 0, -EINVAL},
	{QB_JOIN_ENTER, QB_JOIN_GUARD_MAPS, 1, 1, 2, 0, -EINVAL},
	{QB_JOIN_ENTER, 0, 1, 1, 2, 0, -EINVAL},
	{QB_JOIN_ENTER, 0, 1, 1, 0, 0xff, -EINVAL},
	{QB_JOIN_ENTER, 0, 0, 1, 0, 0, -EINVAL},
	{QB_JOIN_ENTER, 0, 1, 0, 0, 0, -EINVAL},
	{QB_JOIN_ENTER, 0, UINT32_MAX, 1, 0, 0, -EINVAL},
	{QB_JOIN_ENTER, 0, 1, UINT32_MAX, 0, 0, -EINVAL},
	{QB_JOIN_LEAVE, 3, 0, 0, 0, 0, -ENOENT},
	{QB_JOIN_LOOK, 3, 0, 0, 0, 0, -ENOENT},
	{77, QB_JOIN_FDS_MAX, 0, 0, 0, 0, -EINVAL},
	{-1, 0, 0, 0, 0, 0, -EINVAL},
};

START_TEST(messages)
{
	uint32_t before = 0;

	begin();
	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
		struct qb_join_request q = {.ifindex = LO, .prog_id = 1};
		struct qb_join_answer a;
		int fds[QB_JOIN_FDS_MAX];
		uint32_t cnt;

		memcpy(&q.verb, &rows[i].verb, sizeof(q.verb));
		memcpy(&q.is_native, &rows[i].is_native, 1);
		memcpy(&q.params.is_server, &rows[i].is_server, 1);
		q.params.worker_cnt = rows[i].worker_cnt;
		q.params.queue_cnt = rows[i].queue_cnt;
		for (uint32_t k = 0; k < QB_JOIN_FDS_MAX; k++)
			fds[k] = STDIN_FILENO;
		ck_assert_int_eq(qb_join_send(sock, &q, sizeof(q), fds, rows[i].fd_cnt), 0);
		ck_assert_int_eq(qb_join_recv(sock, &a, sizeof(a), fds, &cnt), (int)sizeof(a));
		ck_assert_msg(a.rc == rows[i].rc, "row %zu: %d", i, a.rc);
		ck_assert_uint_eq(cnt, 0);
		/* The first one's answer says that it has settled. */
		before = before ? before : open_files();
	}
	/* It closes what it was given after it has answered. */
	for (int i = 0; i < 1000 && open_files() != before; i++)
		usleep(1000);
	ck_assert_uint_eq(open_files(), before);
	end();
}
END_TEST

START_TEST(short_message)
{
	struct qb_join_request q = {.verb = QB_JOIN_LOOK};
	char c;

	begin();
	ck_assert_int_eq(qb_join_send(sock, &q, sizeof(q) - 1, NULL, 0), 0);
	ck_assert_int_eq(recv(sock, &c, sizeof(c), 0), 0);
	end();
}
END_TEST

/* ---- marks ---- */

static bool has_mark(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/quicbond/%u-4000000000", root, LO);
	return access(path, F_OK) == 0;
}

/* Whose folder it is, and how it got there. */
static const struct {
	uid_t uid;
	mode_t mode;
	bool is_link, is_kept;
} folders[] = {
	{0, 0700, false, false}, /* what a joiner that was killed has left */
	{NOBODY, 0700, false, true},
	{0, 0777, false, true},
	{0, 0700, true, true},
};

START_TEST(marks)
{
	char made[96], dir[96], path[128];

	snprintf(dir, sizeof(dir), "%s/quicbond", root);
	snprintf(made, sizeof(made), "%s/%s", root, folders[_i].is_link ? "elsewhere" : "quicbond");
	ck_assert_int_eq(mkdir(made, 0700), 0);
	snprintf(path, sizeof(path), "%s/%u-4000000000", made, LO);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chmod(made, folders[_i].mode), 0);
	ck_assert_int_eq(chown(made, folders[_i].uid, (gid_t)-1), 0);
	if (folders[_i].is_link)
		ck_assert_int_eq(symlink(made, dir), 0);
	begin();
	end();
	ck_assert(has_mark() == folders[_i].is_kept);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/join");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	if (geteuid() != 0) {
		puts("SKIP: the joiner runs as root only");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, messages);
	tcase_add_test(tc, short_message);
	tcase_add_loop_test(tc, marks, 0, (int)QB_ARRAY_LEN(folders));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
