/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Giving up privileges, in processes of their own, for there is no way back: who we are then, what
 * the system call filter lets through (all that a running daemon does) and what it does not.
 */
#include <check.h>
#include <arpa/inet.h>
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"

/* In the child: say what failed, and end without the parent's exit handlers. */
#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #cond,       \
				errno);                                                            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)
#define REFUSED(call) REQUIRE((errno = 0, (call) < 0) && errno == EPERM)

static int in_child(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- the user and its capabilities ---- */

static void drop_to_nobody(void)
{
	const struct passwd *pw = getpwnam("nobody");
	const unsigned int kept[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF,
				     CAP_PERFMON, CAP_IPC_LOCK, CAP_NET_BIND_SERVICE};
	char err[160] = "";
	uid_t uid;

	REQUIRE(pw);
	uid = pw->pw_uid;
	REQUIRE(qb_privs_drop("nobody", err) == 0);
	REQUIRE(getuid() == uid && geteuid() == uid);
	REQUIRE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	REQUIRE(setuid(0) < 0 && seteuid(0) < 0);
	REQUIRE(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
	capng_get_caps_process();
	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		bool is_kept = false;

		for (size_t i = 0; i < QB_ARRAY_LEN(kept); i++)
			is_kept |= kept[i] == cap;
		REQUIRE(!!capng_have_capability(CAPNG_EFFECTIVE, cap) == is_kept);
		REQUIRE(!!capng_have_capability(CAPNG_PERMITTED, cap) == is_kept);
		REQUIRE(!capng_have_capability(CAPNG_INHERITABLE, cap));
		REQUIRE(!capng_have_capability(CAPNG_BOUNDING_SET, cap));
	}
}

START_TEST(drops_to_user)
{
	ck_assert_int_eq(in_child(drop_to_nobody), 0);
}
END_TEST

static void stay_root(void)
{
	char err[160] = "";

	/* No such user on the test's machine, normally; then only capabilities go. */
	if (getpwnam("quicbond"))
		_exit(0);
	REQUIRE(qb_privs_drop(NULL, err) == 0);
	REQUIRE(geteuid() == 0);
	capng_get_caps_process();
	REQUIRE(!capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN));
	REQUIRE(!capng_have_capability(CAPNG_EFFECTIVE, CAP_DAC_OVERRIDE));
	REQUIRE(capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN));
}

START_TEST(without_the_user)
{
	ck_assert_int_eq(in_child(stay_root), 0);
}
END_TEST

START_TEST(unknown_user)
{
	char err[160] = "";

	ck_assert_int_eq(qb_privs_drop("no-such-user-here", err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err, "no-such-user-here"));
	ck_assert_uint_eq(geteuid(), 0);
}
END_TEST

/* ---- the filter ---- */

static void load_filter(unsigned int needs)
{
	char err[160] = "";

	if (qb_privs_seccomp(needs, err) != 0) {
		fprintf(stderr, "%s\n", err);
		_exit(1);
	}
}

static void set_flag(void *arg)
{
	*(int *)arg = 1;
}

static void use_files_and_memory(void)
{
	char name[] = "/tmp/qb-test-os-XXXXXX", buf[64], moved[64];
	struct qb_pages p;
	int fd = mkstemp(name);

	REQUIRE(fd >= 0);
	snprintf(moved, sizeof(moved), "%s.new", name);
	REQUIRE(write(fd, "quicbond", 8) == 8 && fsync(fd) == 0 && fchmod(fd, 0600) == 0);
	REQUIRE(lseek(fd, 0, SEEK_SET) == 0 && read(fd, buf, sizeof(buf)) == 8);
	REQUIRE(rename(name, moved) == 0 && unlink(moved) == 0 && close(fd) == 0);
	REQUIRE(access("/etc/passwd", R_OK) == 0);
	REQUIRE(qb_pages_map(1 << 20, 0, &p) == 0);
	memset(p.mem, 1, p.bytes);
	qb_pages_unmap(&p);
	free(malloc(10 << 20));
}

static void use_threads_and_time(void)
{
	struct timespec ts = {.tv_nsec = 1};
	struct qb_thread t;
	int flag = 0, fd;

	REQUIRE(qb_thread_start(&t, "qb-test", qb_cpu_nth(0), set_flag, &flag) == 0);
	qb_thread_join(&t);
	REQUIRE(flag == 1);
	fd = qb_wake_open();
	REQUIRE(fd >= 0);
	qb_wake(fd);
	qb_wake_clear(fd);
	close(fd);
	fd = qb_signals_open();
	REQUIRE(fd >= 0);
	qb_signals_close(fd);
	REQUIRE(nanosleep(&ts, NULL) == 0);
	REQUIRE(qb_now_ns() > 0 && qb_wall_s() > 0);
}

static void use_sockets(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *ai;
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd, pair[2];

	fd = socket(AF_INET, SOCK_DGRAM, 0);
	REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	REQUIRE(fd >= 0 && listen(fd, 1) == 0);
	close(fd);
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&nl, sizeof(nl)) == 0);
	close(fd);
	/* sd_notify and the control socket. */
	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 &&
		send(pair[0], "READY=1", 7, 0) == 7);
	close(pair[0]);
	close(pair[1]);
	REQUIRE(getaddrinfo("localhost", "443", &hints, &ai) == 0);
	freeaddrinfo(ai);
	REQUIRE(if_nametoindex("lo") == 1);
}

static void use_xdp_and_bpf(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
	struct xdp_umem_reg umem = {.len = 16 * 2048, .chunk_size = 2048};
	int fd = socket(AF_XDP, SOCK_RAW, 0);
	struct qb_pages p;

	if (fd >= 0) {
		REQUIRE(qb_pages_map(16 * 2048, 0, &p) == 0);
		umem.addr = (uintptr_t)p.mem;
		REQUIRE(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem)) == 0);
		close(fd);
		qb_pages_unmap(&p);
	} else {
		REQUIRE(errno == EAFNOSUPPORT);
	}
	fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	REQUIRE(fd >= 0);
	close(fd);
	/* By which newer libbpfs hold the place of a map that is to be made. */
	fd = memfd_create("libbpf-placeholder-fd", MFD_CLOEXEC);
	REQUIRE(fd >= 0);
	close(fd);
}

static void expect_refusals(void)
{
	struct io_uring_params ring = {0};
	char *argv[] = {NULL};

	REFUSED(execve("/bin/true", argv, argv));
	REFUSED(fork());
	REFUSED(vfork());
	REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	REFUSED(socket(AF_PACKET, SOCK_RAW, 0));
	REFUSED(socket(AF_VSOCK, SOCK_STREAM, 0));
	REFUSED(unshare(CLONE_NEWNS));
	REFUSED(syscall(SYS_mount, "a", "/", "b", 0, NULL));
	REFUSED(syscall(SYS_init_module, NULL, 0, ""));
	REFUSED(syscall(SYS_kexec_load, 0, 0, NULL, 0));
	REFUSED(syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0));
	REFUSED(syscall(SYS_setuid, 0));
	REFUSED(kill(getppid(), SIGTERM));
	REFUSED(syscall(SYS_io_uring_setup, 4, &ring));
	REFUSED(syscall(SYS_io_uring_enter, 0, 1, 0, 0, NULL, 0));
	errno = 0;
	REQUIRE(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0) == MAP_FAILED &&
		errno == EPERM);
}

static void daemon_life(void)
{
	char err[160] = "";

	REQUIRE(qb_privs_drop("nobody", err) == 0);
	load_filter(0);
	use_files_and_memory();
	use_threads_and_time();
	use_sockets();
	use_xdp_and_bpf();
	expect_refusals();
	/* A second filter, or none, would not be to be had either. */
	REQUIRE(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2);
}

START_TEST(filter_lets_the_daemon_live)
{
	ck_assert_int_eq(in_child(daemon_life), 0);
}
END_TEST

/* A ring opens files past the filter: only who is configured to have one gets it. */
static void life_with_uring(void)
{
	struct io_uring_params ring = {0};
	char *argv[] = {NULL};

	load_filter(QB_SECCOMP_URING);
	REQUIRE(syscall(SYS_io_uring_setup, 4, &ring) >= 0 || errno == ENOSYS);
	REFUSED(execve("/bin/true", argv, argv));
}

START_TEST(uring_by_configuration)
{
	ck_assert_int_eq(in_child(life_with_uring), 0);
}
END_TEST

struct early {
	int wake_fd;
	int result; /* errno of a refused call */
};

static void try_fork(void *arg)
{
	struct early *e = arg;
	struct pollfd p = {.fd = e->wake_fd, .events = POLLIN};

	poll(&p, 1, -1);
	e->result = socket(AF_PACKET, SOCK_RAW, 0) < 0 ? errno : 0;
}

static void filter_with_threads(void)
{
	struct early e = {.wake_fd = qb_wake_open()};
	struct qb_thread t;

	REQUIRE(qb_thread_start(&t, "qb-early", -1, try_fork, &e) == 0);
	load_filter(0);
	qb_wake(e.wake_fd);
	qb_thread_join(&t);
	REQUIRE(e.result == EPERM);
}

START_TEST(filter_binds_running_threads)
{
	ck_assert_int_eq(in_child(filter_with_threads), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("os_privs");
	TCase *tc = tcase_create("privs");
	SRunner *sr;
	int failed;

	if (geteuid() != 0) {
		puts("SKIP: only root has privileges to give up");
		return 77;
	}
	tcase_add_test(tc, drops_to_user);
	tcase_add_test(tc, without_the_user);
	tcase_add_test(tc, unknown_user);
	tcase_add_test(tc, filter_lets_the_daemon_live);
	tcase_add_test(tc, uring_by_configuration);
	tcase_add_test(tc, filter_binds_running_threads);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
