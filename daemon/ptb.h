/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "Packet too big" from routers on the way (ICMPv4 3/4, ICMPv6 2/0) about the packets that we sent: read from raw sockets on the main
 * thread, held against the packet that they quote, and given to the workers as a hint for path MTU discovery.
 */
#pragma once

#include "quic/quic.h"

struct qb_daemon;

/*
 * qb_ptb_parse reads an ICMPv4 message with the IP header in front, or an ICMPv6 message. Returns whether it is a PTB about a UDP
 * packet that is larger than what it says to fit. ptb->quoted points into msg.
 */
bool qb_ptb_parse(uint8_t family, const uint8_t *msg, size_t len, struct qb_ptb *ptb);

/* qb_ptb_open opens the sockets, before privileges are given up; without them discovery goes by its probes alone. */
void qb_ptb_open(struct qb_daemon *d);
void qb_ptb_close(struct qb_daemon *d);
/* qb_ptb_process takes what has come, as much of it as is good for us. */
void qb_ptb_process(struct qb_daemon *d);
