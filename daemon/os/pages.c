/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Big memory for frames, pools and slabs, mapped once at start by the main thread. An address range
 * is reserved without access first and the memory is put into its middle: what runs over either end
 * faults at once.
 */
#include "os/os.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_BYTES = 2 << 20, HUGE_SHIFT = 21 };

/* map_with places bytes (a multiple of page) between two guards of a page each. */
static int map_with(size_t bytes, size_t page, int extra, struct qb_pages *out)
{
	size_t area_bytes = bytes + 3 * page; /* a third page to align by */
	uint8_t *area, *mem;

	if (area_bytes < bytes)
		return -ENOMEM;
	area = mmap(NULL, area_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0);
	if (area == MAP_FAILED)
		return -errno;
	mem = (uint8_t *)(((uintptr_t)area + page + page - 1) & ~(uintptr_t)(page - 1));
	if (mmap(mem, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | extra, -1, 0) == MAP_FAILED) {
		int e = errno;

		munmap(area, area_bytes);
		return -e;
	}
	*out = (struct qb_pages){
		.mem = mem, .bytes = bytes, .area = area, .area_bytes = area_bytes};
	return 0;
}

static size_t round_up(size_t n, size_t step)
{
	return n > SIZE_MAX - step ? 0 : (n + step - 1) / step * step;
}

int qb_pages_map(size_t bytes, unsigned int flags, struct qb_pages *out)
{
	size_t page = (flags & QB_PAGES_THP) ? HUGE_BYTES : (size_t)sysconf(_SC_PAGESIZE);
	int ret;

	memset(out, 0, sizeof(*out));
	if (bytes == 0)
		return -EINVAL;
	if (round_up(bytes, HUGE_BYTES) == 0)
		return -ENOMEM;
	if (flags & QB_PAGES_HUGE) {
		/* Reserved at once: without reservation a first touch could end in SIGBUS. */
		ret = map_with(round_up(bytes, HUGE_BYTES), HUGE_BYTES,
			       MAP_HUGETLB | HUGE_SHIFT << MAP_HUGE_SHIFT, out);
		if (ret == 0) {
			out->is_huge = true;
			return 0;
		}
	}
	ret = map_with(round_up(bytes, page), page, MAP_NORESERVE, out);
	if (ret)
		return ret;
	/* Advice only: a kernel without transparent huge pages refuses it, and that is fine. */
	(void)madvise(out->mem, out->bytes,
		      (flags & QB_PAGES_THP) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return 0;
}

void qb_pages_unmap(struct qb_pages *p)
{
	if (p->area)
		munmap(p->area, p->area_bytes);
	memset(p, 0, sizeof(*p));
}

void qb_pages_discard(void *mem, size_t bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from, to;

	from = ((uintptr_t)mem + page - 1) & ~(page - 1);
	to = ((uintptr_t)mem + bytes) & ~(page - 1);
	/* Locked memory stays. */
	if (from < to)
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
}
