/* SPDX-License-Identifier: BSD-2-Clause */
/* An assertion for what a test asks millions of times: ck_assert reports each success too, which is
 * slow. */
#pragma once

#include <check.h>

#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond))                                                                       \
			ck_abort_msg("%s", #cond);                                                 \
	} while (0)
