/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Schedulers for quicbond as BPF programs: what a program and the daemon agree on. `Scheduler =
 * bpf:/path/to/prog.o` has the daemon load the object file; the kernel's verifier checks it.
 *
 * The object has one program, SEC("syscall"), that gets a struct qbs_call, and the map that QBS_MAP
 * defines: an array that the daemon has mapped into its memory, with one struct qbs_area for each
 * of its workers. The daemon describes the paths in the area and runs the program; the program
 * finds its area with qbs_area(), and writes there by which paths the next packets of the kind that
 * is asked about shall leave. It returns 0.
 *
 *     #include <quicbond/sched.h>
 *
 *     QBS_MAP;
 *
 *     SEC("syscall") int first_that_is_free(struct qbs_call *call)
 *     {
 *             struct qbs_area *a = qbs_area(call);
 *
 *             if (!a)
 *                     return 1;
 *             for (__u32 i = 0; i < QBS_PATHS; i++)
 *                     if (qbs_can_send(&a->paths[i], a->bytes))
 *                             return qbs_answer(a, i);
 *             return qbs_answer(a, QBS_WAIT);
 *     }
 *
 *     clang -g -O2 -target bpf -I/usr/include/$(uname -m)-linux-gnu -c first.c -o first.o
 *
 * One run serves up to QBS_PICKS packets: how many is the program's choice. The daemon asks again
 * when the picks are used up, when a path that was picked cannot take a packet, when the paths that
 * may be used are others, and after valid_us.
 *
 * What a program cannot do: send by a path that is not usable, or past a congestion window or a
 * pacer; a pick of a path that has no room now is kept until it has, or until the daemon asks
 * again. What makes no sense (a number of no usable path, no picks or too many, a return value
 * other than 0, packets that wait for longer than a quarter of a second while a path is free) is
 * counted and logged, and the daemon's own scheduler stands in for a tenth of a second.
 *
 * All numbers are in the machine's byte order. Times are in nanoseconds or, where the name says so,
 * microseconds; sizes in bytes; rates in bits a second; losses in parts per million. Versions:
 * QBS_ABI grows when something changes that a program would notice; an object made for another one
 * is refused. Fields called reserved are zero.
 */
#ifndef QUICBOND_SCHED_H
#define QUICBOND_SCHED_H

#include <linux/types.h>

#define QBS_ABI 1

enum {
	QBS_PATHS = 8,	/* of a connection */
	QBS_PICKS = 64, /* of one run */
	QBS_MEMORY = 16,
	QBS_WAIT = 0xff, /* a pick: better none of the paths that are free now */
};

enum qbs_path_flags {
	QBS_USABLE = 1 << 0,	/* may carry data; others are to be passed over */
	QBS_VALIDATED = 1 << 1, /* the peer has answered on it */
	QBS_FAR = 1 << 2,	/* so far behind the others that striping over it hurts */
	QBS_HAS_OWD = 1 << 3,	/* owd_delta_ns is measured */
};

enum qbs_kind {
	QBS_BULK,   /* downloads and the like: much to come, striped */
	QBS_SPARSE, /* calls, games, DNS: wants the lowest delay */
};

struct qbs_path {
	__u32 flags;	  /* enum qbs_path_flags */
	__u32 generation; /* another number: it is another path that has this place now */
	__u32 tier;	  /* 0 primary, 1 secondary, 2 backup */
	__u32 loss_ppm;	  /* that the path loses whatever is sent */
	__u32 max_bytes;  /* largest packet that fits; 0: any */
	__u32 link;	  /* edge: number of the link, in the config's order; hub: 0 */
	__u64 srtt_ns;	  /* 0: not measured yet */
	__u64 min_rtt_ns;
	__u64 rttvar_ns;
	__u64 sample_age_ns; /* how old what they say is */
	__u64 owd_delta_ns;  /* one-way delay towards the peer, above that of the quickest path */
	__u64 rate_bps;	     /* what it delivers; 0: not known */
	__u64 cwnd_bytes;
	__u64 in_flight_bytes;
	__u64 budget_bytes; /* may leave now: window and pacer let it */
	__u64 wait_ns;	    /* until the pacer lets the next one go; 0: now */
	__u64 sent_packets; /* since the path began, as all that follows */
	__u64 acked_packets;
	__u64 lost_packets;
	__u32 weight; /* its part, 50 to 1000, where its owner gave it one; 0: by its rate */
	__u32 reserved0;
	__u64 reserved[3];
};

struct qbs_area {
	/* in: what the daemon says */
	__u32 abi;	    /* QBS_ABI */
	__u32 kind;	    /* enum qbs_kind: of the packets that picks are wanted for */
	__u32 bytes;	    /* of the first of them */
	__u32 flow;	    /* a hash of its addresses and ports */
	__u64 now_ns;	    /* a clock that never goes back */
	__u64 queued_bytes; /* that wait behind it */
	__u64 waited_ns;    /* since it was first told to wait; 0: it was not */
	__u64 reserved0[3];
	struct qbs_path paths[QBS_PATHS];
	/* in and out: the program's own, one for each connection; all 0 at first and after the
	 * program was loaded anew */
	__u64 memory[QBS_MEMORY];
	/* out: what the program says; all 0 before it runs */
	__u32 valid_us;	       /* how long the picks hold at most; 0: 1000; not above 10000 */
	__u32 cnt;	       /* of picks, 1 to QBS_PICKS */
	__u8 picks[QBS_PICKS]; /* indices into paths, or QBS_WAIT: for the packets in the order in
				  which they leave */
	__u8 reserved1[56];
};

struct qbs_call {
	__u32 area; /* key of the map */
	__u32 reserved;
};

/* What QUIC and HTTP put around a packet, at least. */
enum { QBS_OVERHEAD = 30 };

/* qbs_can_send: the path may be used, the packet fits it, and may leave by it now. */
static inline __attribute__((always_inline, unused)) int qbs_can_send(const struct qbs_path *p,
								      __u32 bytes)
{
	return p->flags & QBS_USABLE && (p->max_bytes == 0 || bytes <= p->max_bytes) &&
	       p->budget_bytes >= bytes + QBS_OVERHEAD;
}

/* qbs_answer gives a single pick. */
static inline __attribute__((always_inline, unused)) int qbs_answer(struct qbs_area *a, __u32 pick)
{
	a->picks[0] = (__u8)pick;
	a->cnt = 1;
	return 0;
}

/* qbs_spend notes a pick in the path's figures, so that the next one is chosen by what is left. */
static inline __attribute__((always_inline, unused)) void qbs_spend(struct qbs_path *p, __u32 bytes)
{
	__u64 all = bytes + QBS_OVERHEAD;

	p->budget_bytes -= p->budget_bytes < all ? p->budget_bytes : all;
	p->in_flight_bytes += all;
}

#ifdef __bpf__
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* The map has as many entries as the daemon has workers: it says so when it loads the object. */
#define QBS_MAP                                                                                    \
	const volatile __u32 qbs_abi SEC(".rodata.qbs") = QBS_ABI;                                 \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__uint(max_entries, 1);                                                            \
		__type(key, __u32);                                                                \
		__type(value, struct qbs_area);                                                    \
	} qbs_areas SEC(".maps")

#define qbs_area(call)                                                                             \
	({                                                                                         \
		__u32 qbs_key = (call)->area;                                                      \
		(struct qbs_area *)bpf_map_lookup_elem(&qbs_areas, &qbs_key);                      \
	})
#endif

#endif
