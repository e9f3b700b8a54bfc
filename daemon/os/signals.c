/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals as a descriptor in the main thread's poll set: nothing ever runs in a handler.
 */
#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void our_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

int qb_signals_open(void)
{
	sigset_t set;
	int fd, ret;

	our_signals(&set);
	ret = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (ret)
		return -ret;
	/* A peer or a client that goes away is an error code of write(), not a reason to die. */
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int qb_signals_read(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

void qb_signals_close(int fd)
{
	sigset_t set;

	if (fd >= 0)
		close(fd);
	our_signals(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGPIPE, SIG_DFL);
}
