/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system call filter: an allow-list (seccomp.def) with four calls looked at more closely. A
 * refused call returns EPERM and leaves a line in the kernel's audit log, so that a gap in the list
 * shows and does not kill the tunnel. Called by the main thread when everything is set up; it binds
 * threads that run already, too.
 */
#include "os/os.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

struct syscall_row {
	unsigned int needs; /* QB_SECCOMP_*: 0 is for all */
	const char *why;
	const char *names; /* separated by blanks */
};

static const struct syscall_row syscall_rows[] = {
#define QB_SYSCALLS_FOR(what, why, names) {QB_SECCOMP_##what, why, names},
#define QB_SYSCALLS(why, names)		  {0, why, names},
#include "os/seccomp.def"
#undef QB_SYSCALLS
#undef QB_SYSCALLS_FOR
};

static const unsigned int socket_families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_XDP};

/* -EDOM and -EFAULT: a call that this architecture does not have. */
static int check_add(int ret)
{
	return ret == -EDOM || ret == -EFAULT ? 0 : ret;
}

static int add_by_name(scmp_filter_ctx ctx, const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr == __NR_SCMP_ERROR)
		return 0;
	return check_add(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0));
}

static int add_row(scmp_filter_ctx ctx, const struct syscall_row *row)
{
	char name[32];
	int ret;

	for (const char *p = row->names; *p;) {
		size_t len = strcspn(p, " ");

		QB_BUG_ON(len >= sizeof(name));
		memcpy(name, p, len);
		name[len] = '\0';
		ret = add_by_name(ctx, name);
		if (ret)
			return ret;
		p += len + strspn(p + len, " ");
	}
	return 0;
}

/* Memory may be writable or executable (libc's name service loads libraries late), never both. */
static int add_memory(scmp_filter_ctx ctx, int nr)
{
	static const scmp_datum_t allowed[] = {0, PROT_WRITE, PROT_EXEC};

	for (size_t i = 0; i < QB_ARRAY_LEN(allowed); i++) {
		int ret = check_add(seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, nr, 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, allowed[i])));

		if (ret)
			return ret;
	}
	return 0;
}

static int add_with_arguments(scmp_filter_ctx ctx)
{
	int ret;

	for (size_t i = 0; i < QB_ARRAY_LEN(socket_families); i++) {
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				       SCMP_A0(SCMP_CMP_EQ, socket_families[i], 0));
		if (ret)
			return ret;
	}
	/* Threads, not processes. clone3 hides its flags in memory; told ENOSYS, libc uses clone.
	 */
	ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			       SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (ret)
		return ret;
	ret = check_add(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0));
	if (ret)
		return ret;
	ret = add_memory(ctx, SCMP_SYS(mmap));
	if (ret)
		return ret;
	ret = add_memory(ctx, SCMP_SYS(mmap2));
	return ret ? ret : add_memory(ctx, SCMP_SYS(mprotect));
}

static int build(scmp_filter_ctx ctx, unsigned int needs)
{
	int ret;

	for (size_t i = 0; i < QB_ARRAY_LEN(syscall_rows); i++) {
		if ((syscall_rows[i].needs & needs) != syscall_rows[i].needs)
			continue;
		ret = add_row(ctx, &syscall_rows[i]);
		if (ret)
			return ret;
	}
	ret = add_with_arguments(ctx);
	if (ret)
		return ret;
	/* A binary search instead of a chain: the filter runs at every system call. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_API_SYSRAWRC, 1);
	return seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
}

int qb_privs_seccomp(unsigned int needs, char err[160])
{
	scmp_filter_ctx ctx;
	int ret;

	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
		snprintf(err, 160, "the kernel has no seccomp");
		return -ENOSYS;
	}
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx) {
		snprintf(err, 160, "seccomp: out of memory");
		return -ENOMEM;
	}
	ret = build(ctx, needs);
	if (ret == 0)
		ret = seccomp_load(ctx);
	if (ret)
		snprintf(err, 160, "cannot load the system call filter: %s", strerror(-ret));
	seccomp_release(ctx);
	return ret;
}
