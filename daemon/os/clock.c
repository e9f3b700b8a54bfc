/* SPDX-License-Identifier: BSD-2-Clause */
/* The two clocks. Workers read the first once a batch; both go through the vDSO, without a system
 * call. */
#include "os/os.h"

#include <time.h>

uint64_t qb_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * QB_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t qb_wall_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec > 0 ? (uint64_t)ts.tv_sec : 0;
}
