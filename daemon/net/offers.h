/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser below qb_net_offers, for its test. */
#pragma once

#include "net/net.h"

/* qb_net_offers_parse reads a netdev family's answer, whatever it is. 0, or -ENODATA. */
int qb_net_offers_parse(const uint8_t *msg, size_t len, char *out, size_t cap);
