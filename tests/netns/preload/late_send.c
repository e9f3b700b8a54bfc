/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LD_PRELOAD: sendmmsg() returns 20 ms late, as where another process gets the processor. What is sent has its answer by then.
 */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int cnt, int flags)
{
	struct timespec late = {.tv_nsec = 20000000};
	long sent = syscall(SYS_sendmmsg, fd, msgs, cnt, flags);

	nanosleep(&late, NULL);
	return (int)sent;
}
