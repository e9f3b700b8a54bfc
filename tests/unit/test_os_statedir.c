/* SPDX-License-Identifier: BSD-2-Clause */
/* What is kept over a restart: files that are whole or not there, for nobody else's eyes; and maps
 * that outlive a process. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"

static char dir[64];
static struct qb_statedir state;

static void set_up(void)
{
	char err[160] = "";

	snprintf(dir, sizeof(dir), "/tmp/statedir.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	setenv("STATE_DIRECTORY", dir, 1);
	ck_assert_msg(qb_statedir_open("", &state, err) == 0, "%s", err);
}

static void tear_down(void)
{
	char command[100];

	qb_statedir_close(&state);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static void path_of(const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", dir, name);
}

START_TEST(written_whole)
{
	char path[128], back[16];
	struct stat st;

	ck_assert_int_eq(qb_statedir_read(&state, "a", back, sizeof(back)), -ENOENT);
	ck_assert_int_eq(qb_statedir_write(&state, "a", "first one", 9), 0);
	ck_assert_int_eq(qb_statedir_write(&state, "a", "second", 6), 0);
	ck_assert_int_eq(qb_statedir_read(&state, "a", back, sizeof(back)), 6);
	ck_assert_mem_eq(back, "second", 6);
	ck_assert_int_eq(qb_statedir_read(&state, "a", back, 3), 3);
	path_of("a", path);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	path_of("a.new", path);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* A write that fails leaves what there was. */
START_TEST(failed_writes)
{
	char path[128], back[16];

	ck_assert_int_eq(qb_statedir_write(&state, "a", "old", 3), 0);
	path_of("a.new", path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(qb_statedir_write(&state, "a", "new", 3), -EISDIR);
	ck_assert_int_eq(qb_statedir_read(&state, "a", back, sizeof(back)), 3);
	ck_assert_mem_eq(back, "old", 3);
	ck_assert_int_eq(rmdir(path), 0);
	/* Somebody's link leads nowhere of ours. */
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert_int_eq(qb_statedir_write(&state, "a", "new", 3), -ELOOP);
}
END_TEST

START_TEST(no_folder)
{
	struct qb_statedir none = {.fd = -1};
	char back[4], err[160] = "";
	bool is_new;

	ck_assert_int_eq(qb_statedir_write(&none, "a", "x", 1), -ENOENT);
	ck_assert_int_eq(qb_statedir_read(&none, "a", back, sizeof(back)), -ENOENT);
	ck_assert_ptr_null(qb_statedir_map(&none, "a", 4096, &is_new));
	setenv("STATE_DIRECTORY", "/proc/nowhere/at/all", 1);
	ck_assert_int_lt(qb_statedir_open("", &none, err), 0);
	ck_assert_int_eq(none.fd, -1);
	ck_assert_ptr_nonnull(strstr(err, "/proc/nowhere/at/all"));
}
END_TEST

START_TEST(maps_outlive_a_crash)
{
	bool is_new;
	char *mem;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		mem = qb_statedir_map(&state, "m", 10000, &is_new);
		if (!mem || !is_new || mem[9999])
			_exit(1);
		mem[9999] = 'x';
		kill(getpid(), SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	mem = qb_statedir_map(&state, "m", 10000, &is_new);
	ck_assert_ptr_nonnull(mem);
	ck_assert(!is_new);
	ck_assert_int_eq(mem[9999], 'x');
	qb_statedir_unmap(mem, 10000);
	/* Another size is another thing. */
	mem = qb_statedir_map(&state, "m", 20000, &is_new);
	ck_assert_ptr_nonnull(mem);
	ck_assert(is_new);
	ck_assert_int_eq(mem[9999], 0);
	qb_statedir_unmap(mem, 20000);
}
END_TEST

START_TEST(boot_ids)
{
	char a[QB_BOOT_ID_LEN], b[QB_BOOT_ID_LEN];

	ck_assert(qb_boot_id(a));
	ck_assert(qb_boot_id(b));
	ck_assert_uint_ge(strlen(a), 36);
	ck_assert_mem_eq(a, b, sizeof(a));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("os/statedir");
	TCase *tc = tcase_create("statedir");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, written_whole);
	tcase_add_test(tc, failed_writes);
	tcase_add_test(tc, no_folder);
	tcase_add_test(tc, maps_outlive_a_crash);
	tcase_add_test(tc, boot_ids);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
