/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From root to a user of our own with the few capabilities that a running daemon needs: links come
 * and go, so XDP programs, packet sockets, routes and the TUN device's queues are opened again long
 * after start.
 */
#include "os/os.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const char default_user[] = "quicbond";

static const unsigned int kept_caps[] = {
	CAP_NET_ADMIN,	      /* netlink, TUN, XDP attachment, SO_BINDTODEVICE, SO_RCVBUFFORCE */
	CAP_NET_RAW,	      /* AF_XDP sockets */
	CAP_BPF,	      /* maps and programs for links that appear later */
	CAP_PERFMON,	      /* without it the verifier refuses comparisons of packet pointers */
	CAP_IPC_LOCK,	      /* UMEM of AF_XDP beyond RLIMIT_MEMLOCK, where that cannot be raised */
	CAP_NET_BIND_SERVICE, /* a hub that listens anew on port 443 after a reload */
};

/* find_user returns 0 and sets *is_change false where nobody else is to be become. */
static int find_user(const char *user, struct passwd *pw, char *buf, size_t buf_len,
		     bool *is_change, char err[160])
{
	bool is_asked = user && *user;
	struct passwd *found = NULL;
	int ret;

	*is_change = false;
	ret = getpwnam_r(is_asked ? user : default_user, pw, buf, buf_len, &found);
	if (!found) {
		if (!is_asked)
			return 0;
		snprintf(err, 160, "no such user: %s", user);
		return ret ? -ret : -ENOENT;
	}
	if (pw->pw_uid == geteuid() && pw->pw_uid == getuid())
		return 0;
	if (geteuid() != 0) {
		if (!is_asked)
			return 0;
		snprintf(err, 160, "cannot become user %s: not started as root", user);
		return -EPERM;
	}
	*is_change = true;
	return 0;
}

int qb_privs_user(const char *user, uid_t *uid, gid_t *gid)
{
	char buf[4096], err[160];
	struct passwd pw;
	bool is_change;
	int ret = find_user(user, &pw, buf, sizeof(buf), &is_change, err);

	*uid = !ret && is_change ? pw.pw_uid : geteuid();
	*gid = !ret && is_change ? pw.pw_gid : getegid();
	return ret;
}

static void select_caps(void)
{
	capng_get_caps_process();
	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		bool is_kept = false;

		for (size_t i = 0; i < QB_ARRAY_LEN(kept_caps); i++)
			is_kept |= kept_caps[i] == cap;
		is_kept = is_kept && capng_have_capability(CAPNG_PERMITTED, cap);
		capng_update(is_kept ? CAPNG_ADD : CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
			     cap);
		capng_update(CAPNG_DROP, CAPNG_INHERITABLE | CAPNG_BOUNDING_SET | CAPNG_AMBIENT,
			     cap);
	}
}

int qb_privs_drop(const char *user, char err[160])
{
	const struct rlimit no_limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	bool is_change, has_setpcap;
	char buf[4096];
	struct passwd pw;
	int ret;

	ret = find_user(user, &pw, buf, sizeof(buf), &is_change, err);
	if (ret)
		return ret;
	/* UMEM and BPF maps count as locked memory. Without CAP_SYS_RESOURCE the unit's
	 * LimitMEMLOCK has to do. */
	(void)setrlimit(RLIMIT_MEMLOCK, &no_limit);
	has_setpcap = geteuid() == 0 && capng_get_caps_process() == 0 &&
		      capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	select_caps();
	if (is_change)
		ret = capng_change_id((int)pw.pw_uid, (int)pw.pw_gid,
				      CAPNG_INIT_SUPP_GRP |
					      (has_setpcap ? CAPNG_CLEAR_BOUNDING : 0));
	else
		ret = capng_apply(has_setpcap ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
	if (ret) {
		snprintf(err, 160, "cannot give up privileges (libcap-ng error %d)", ret);
		return -EPERM;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		ret = -errno;
		snprintf(err, 160, "cannot set no_new_privs: %s", strerror(-ret));
		return ret;
	}
	/* Memory holds keys: no core file, and no debugger but root's. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return 0;
}
