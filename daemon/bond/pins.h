/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows that keep to one path (Grain = flow, or a remote one): which to which, by their hash. Flows
 * whose hashes meet share a path, so none of them is torn apart by another. Internal to bond/.
 */
#pragma once

#include "base/base.h"

enum { QB_PINS = 256 };

struct qb_pin {
	uint64_t until_ns; /* renewed by each packet; in the past: free; 0: never used */
	uint64_t since_ns; /* when it came to the path */
	uint32_t window;   /* the one that runs */
	uint32_t bytes, last_bytes; /* sent in it, and in the one before */
	uint32_t flow;		    /* whose it is alone; 0: of all that share it */
	uint8_t path;
};

/* qb_pin_count adds what was sent in a window. */
static inline void qb_pin_count(struct qb_pin *pin, uint32_t window, uint32_t bytes)
{
	if (pin->window != window) {
		pin->last_bytes = window - pin->window == 1 ? pin->bytes : 0;
		pin->bytes = 0;
		pin->window = window;
	}
	pin->bytes += bytes;
}

/* qb_pin_lately is what was sent in the window and the one before. */
static inline uint64_t qb_pin_lately(const struct qb_pin *pin, uint32_t window)
{
	uint32_t gone = window - pin->window;

	if (gone == 0)
		return (uint64_t)pin->bytes + pin->last_bytes;
	return gone == 1 ? pin->bytes : 0;
}

static inline uint32_t qb_pin_of(uint32_t hash)
{
	return hash % QB_PINS;
}
