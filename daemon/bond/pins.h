/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows that keep to one path (Grain = flow): which to which, by their hash. Flows whose hashes
 * meet share a path, so none of them is torn apart by another. Internal to bond/.
 */
#pragma once

#include "base/base.h"

enum { QB_PINS = 256 };

struct qb_pin {
	uint64_t until_ns; /* renewed by each packet; in the past: free; 0: never used */
	uint64_t since_ns; /* when it came to the path */
	uint32_t window;   /* the one that runs */
	uint32_t bytes, last_bytes; /* sent in it, and in the one before */
	uint8_t path;
};

static inline uint32_t qb_pin_of(uint32_t hash)
{
	return hash % QB_PINS;
}
