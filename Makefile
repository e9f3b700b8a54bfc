# SPDX-License-Identifier: BSD-2-Clause
# `make help` lists the targets and variants; each variant builds into its own folder.

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG     ?= clang
BPFTOOL   ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PREFIX    ?= /usr
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
comma     := ,
JOBS      ?= $(shell nproc)
VARIANT   := $(notdir $(CC))$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(DEBUG),-debug)
B         := build/$(VARIANT)
ifneq ($(V),1)
Q := @
endif

ifdef BORINGSSL
SSL_CFLAGS := -isystem $(BORINGSSL)/include
SSL_LIBS   := -L$(BORINGSSL)/lib -Wl,-rpath,$(BORINGSSL)/lib -lssl -lcrypto -lstdc++
else
SSL_LIBDIR := /usr/lib/$(MULTIARCH)/android
SSL_CFLAGS := -isystem /usr/include/android
SSL_LIBS   := -L$(SSL_LIBDIR) -Wl,-rpath,$(SSL_LIBDIR) -lssl -lcrypto
endif

PKGS      := libisal libbpf libxdp liburing libnl-3.0 libnl-genl-3.0 libnl-route-3.0 jansson libsystemd libseccomp libcap-ng libmicrohttpd
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -linih

WARN := -Wall -Wextra -Wshadow -Wvla -Wundef -Wpointer-arith -Wwrite-strings -Wstrict-prototypes \
	-Wmissing-prototypes -Wimplicit-fallthrough -Wformat=2 $(if $(WERROR),-Werror)
OPT  := $(if $(DEBUG),-O0 -DQB_DEBUG,-O2) $(if $(SANITIZE),-DQB_DEBUG)
QB_CFLAGS = -std=gnu11 -D_GNU_SOURCE -g $(OPT) -fno-strict-aliasing -fno-omit-frame-pointer $(WARN) \
	-MMD -MP -pthread -Idaemon -I. -I$(B) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all) \
	$(PKG_CFLAGS) $(CFLAGS)
QB_LDFLAGS = -pthread -Wl,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

PURE    := base wire cc quic h3 bond
FOLDERS := $(PURE) tls net os tun link qlog conf metrics ctl
srcs     = $(wildcard daemon/$(1)/*.c)
objs     = $(patsubst %.c,$(B)/%.o,$(call srcs,$(1)))
LIB_OBJS  := $(foreach f,$(FOLDERS),$(call objs,$(f)))
TOP_OBJS  := $(filter-out $(B)/daemon/main.o,$(patsubst %.c,$(B)/%.o,$(wildcard daemon/*.c)))
BPF_SRCS  := $(wildcard bpf/*.bpf.c)
BPF_SKELS := $(patsubst bpf/%.bpf.c,$(B)/bpf/%.skel.h,$(BPF_SRCS))
# Sample schedulers, as files that quicbondd loads.
SCHEDS    := $(patsubst bpf/sched/%.bpf.c,build/sched/%.o,$(wildcard bpf/sched/*.bpf.c))
TOOLS     := $(patsubst tools/%.c,%,$(wildcard tools/quicbond*.c))
PROGS     := $(if $(wildcard daemon/main.c),quicbondd) $(TOOLS)
# Without its flags, which would choose a feature level for everything.
CURSES_LIBS := $(shell pkg-config --libs ncursesw 2>/dev/null)
ALL_LIBS   = $(PKG_LIBS) $(SSL_LIBS) $(CURSES_LIBS) -lm

all: $(addprefix build/,$(PROGS)) $(SCHEDS) checks

.PHONY: all checks help deps demo check check-all check-unit check-sim check-net check-zc check-sets check-interop interop-peers fuzz bench bench-core bench-cc bench-net bench-bond bench-sites install deb clean format test-bins

# The programs land in build/ whatever the variant: the last one built is the one that tests use.
build/%: $(B)/bin/% | build
	$(Q)cp -f $< $@

build $(B):
	$(Q)mkdir -p $@

$(B)/libquicbond.a: $(LIB_OBJS) $(TOP_OBJS)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/bin/quicbondd: $(B)/daemon/main.o $(B)/libquicbond.a
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(QB_LDFLAGS) -o $@ $^ $(ALL_LIBS)

CTL_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tools/ctl_*.c))
$(B)/bin/quicbondctl $(B)/tests/test_tools_ctl: $(CTL_OBJS)
NETEM_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tools/netem_*.c))
$(B)/bin/quicbond-netem $(B)/tests/test_netem_engine $(B)/tests/test_netem_link: $(NETEM_OBJS)
INTEROP_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tools/interop_*.c))
$(B)/bin/quicbond-client $(B)/bin/quicbond-server: $(INTEROP_OBJS)
$(B)/bin/%: $(B)/tools/%.o $(B)/libquicbond.a
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(QB_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(ALL_LIBS)

$(foreach f,$(PURE),$(eval $(B)/daemon/$(f)/%.o: EXTRA += -Wconversion -Wno-sign-conversion))
$(B)/daemon/tls/%.o: EXTRA += $(SSL_CFLAGS)
$(call objs,net) $(call objs,tun): | $(BPF_SKELS)
$(patsubst %.c,$(B)/%.o,$(wildcard tests/bpf/*.c)): | $(BPF_SKELS)
$(B)/tests/%.o: EXTRA += $(SSL_CFLAGS)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(QB_CFLAGS) $(EXTRA) -c -o $@ $<

BPF_CC = @mkdir -p $(@D); echo "  BPF   $<"; $(CLANG) -std=gnu11 -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror -I. -Ibpf \
	-Iinclude -I/usr/include/$(MULTIARCH) -c -o $@ $<
$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) include/quicbond/sched.h
	$(BPF_CC)

build/sched/%.o: $(B)/bpf/sched/%.bpf.o
	@mkdir -p $(@D)
	$(Q)cp -f $< $@

$(B)/bpf/%.skel.h: $(B)/bpf/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name $* > $@.tmp && mv $@.tmp $@

# ---- checks that need no root ----

checks: build/.layers-ok build/.secrets-ok
build/.layers-ok: $(wildcard daemon/*/*.[ch] daemon/*.[ch]) tools/check-layers | build
	$(Q)tools/check-layers && touch $@
build/.secrets-ok: $(wildcard daemon/*/*.[ch] daemon/*.[ch] tools/*.[ch]) tools/check-secrets | build
	$(Q)tools/check-secrets && touch $@

# ---- tests ----

CHECK_LIBS := $(shell pkg-config --libs check 2>/dev/null)
test_bins   = $(patsubst tests/$(1)/%.c,$(B)/tests/%,$(wildcard tests/$(1)/test_*.c))
UNIT_BINS  := $(call test_bins,unit)
# Those that ask the kernel for interfaces, rings and devices are not run beside others.
KERNEL_BINS := $(filter $(addprefix $(B)/tests/test_,net_udp net_xdp tun_dev link os_privs),$(UNIT_BINS))
PLAIN_BINS := $(filter-out $(KERNEL_BINS),$(UNIT_BINS))
SIM_BINS   := $(call test_bins,sim)
BPF_BINS   := $(call test_bins,bpf)
FUZZ_SRCS  := $(wildcard tests/fuzz/fuzz_*.c)
REPLAYS    := $(patsubst tests/fuzz/fuzz_%.c,$(B)/tests/replay_%,$(FUZZ_SRCS))
LINK_TEST   = @mkdir -p $(@D); echo "  LINK  $@"; \
	$(CC) $(QB_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(CHECK_LIBS) $(ALL_LIBS)

SIM_OBJS   := $(patsubst %.c,$(B)/%.o,$(filter-out $(wildcard tests/sim/test_*.c),$(wildcard tests/sim/*.c))) \
	$(B)/tools/netem_engine.o
$(SIM_BINS): $(SIM_OBJS)

$(filter $(B)/tests/test_cc_%,$(UNIT_BINS)): $(B)/tests/unit/cc_bench.o
$(B)/tests/test_%: $(B)/tests/unit/test_%.o $(B)/libquicbond.a
	$(LINK_TEST)
$(B)/tests/test_%: $(B)/tests/sim/test_%.o $(B)/libquicbond.a
	$(LINK_TEST)
$(B)/tests/test_%: $(B)/tests/bpf/test_%.o $(B)/libquicbond.a
	$(LINK_TEST)
$(B)/tests/bench_%: $(B)/tests/bench/bench_%.o $(B)/libquicbond.a
	$(LINK_TEST)
$(B)/tests/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(B)/libquicbond.a
	$(LINK_TEST)

# Schedulers that only tests load.
TEST_SCHEDS := $(patsubst tests/bpf/sched/%.bpf.c,$(B)/tests/sched/%.o,$(wildcard tests/bpf/sched/*.bpf.c))
$(B)/tests/sched/%.o: tests/bpf/sched/%.bpf.c include/quicbond/sched.h
	$(BPF_CC)
$(B)/tests/test_sched: | $(SCHEDS) $(TEST_SCHEDS)

ZC_TESTS   := $(wildcard tests/zc/test_*.sh)

# What the namespace tests run beside the daemons.
NET_TOOLS  := $(patsubst tests/netns/%.c,$(B)/tests/%,$(wildcard tests/netns/*.c))
$(NET_TOOLS): $(B)/tests/%: $(B)/tests/netns/%.o $(B)/libquicbond.a
	$(LINK_TEST)
# What they put into a daemon.
PRELOADS   := $(patsubst tests/netns/preload/%.c,$(B)/tests/%.so,$(wildcard tests/netns/preload/*.c))
$(PRELOADS): $(B)/tests/%.so: tests/netns/preload/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(QB_CFLAGS) -fPIC -shared -o $@ $<
NET_TOOLS  += $(PRELOADS)
INTEROP_TOOLS := $(B)/tests/nat
$(INTEROP_TOOLS): $(B)/tests/%: $(B)/tests/interop/%.o
	$(LINK_TEST)

test-bins: $(B)/tests/bench_core $(B)/tests/bench_sites $(TEST_SCHEDS) $(NET_TOOLS) $(INTEROP_TOOLS) $(UNIT_BINS) $(SIM_BINS) $(BPF_BINS) $(REPLAYS)

check-unit: $(UNIT_BINS) $(REPLAYS) all
	$(Q)B=$(B) tests/run unit $(PLAIN_BINS) -- fuzz $(REPLAYS) -- kernel $(KERNEL_BINS)
check-sim: $(SIM_BINS)
	$(Q)B=$(B) tests/run sim $(SIM_BINS)
# N= drawn link sets, calm and restless; see the script.
check-sets: $(B)/tests/test_sim_sets
	$(Q)B=$(B) N=$(N) tests/bench/sets
check-net: all $(BPF_BINS) $(NET_TOOLS) $(TEST_SCHEDS)
	$(Q)B=$(B) tests/run bpf $(BPF_BINS) -- netns $(wildcard tests/netns/test_*.sh)
check-zc: all
	$(Q)tests/run zc $(ZC_TESTS)
# What the packages that other people's QUIC comes in weigh is fetched while the compiler runs.
interop-peers:
	$(Q)tests/interop/peers
check-interop: all $(INTEROP_TOOLS) interop-peers
	$(Q)B=$(B) tests/interop/run
check: deps
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) check-all
check-all: all test-bins interop-peers
	$(Q)$(MAKE) --no-print-directory SANITIZE=address,undefined sanitized-bins
	$(Q)B=$(B) QB_INTEROP_SHORT=1 tests/run lint tests/lint -- unit $(PLAIN_BINS) -- fuzz $(REPLAYS) -- sim $(SIM_BINS) \
		-- kernel $(KERNEL_BINS) -- bpf $(BPF_BINS) -- netns $(wildcard tests/netns/test_*.sh) -- zc $(ZC_TESTS) -- interop tests/interop/run \
		-- asan $(patsubst $(B)/%,build/$(VARIANT)-address-undefined/%,$(ASAN_BINS) $(REPLAYS))
# What meets bytes from strangers runs under the sanitizers too.
ASAN_BINS := $(filter $(addprefix $(B)/tests/test_,wire% quic% h3% tls% qlog% tun_segment tun_coalesce bond_flow bond_reorder \
	conf ctl net_eth),$(UNIT_BINS))
sanitized-bins: $(ASAN_BINS) $(REPLAYS) $(B)/bin/quicbondd $(B)/bin/quicbondctl $(B)/bin/quicbond-netem

FUZZ_SECONDS ?= 60
fuzz:
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) CLANG=$(CLANG) tests/fuzz/run $(FUZZ)
bench: deps
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all $(B)/tests/bench_core $(B)/tests/bench_sites
	$(Q)B=$(B) tests/bench/run
$(B)/tests/bench_cc: $(B)/tests/unit/cc_bench.o
bench-cc: $(B)/tests/bench_cc
	$(Q)$< -m -o build/bench_cc.svg
bench-net: $(B)/tests/bench_net
	$(Q)$<
bench-core: $(B)/tests/bench_core $(B)/tests/bench_sched $(SCHEDS)
	$(Q)tests/bench/core $<
	$(Q)$(B)/tests/bench_sched 5000 $(SCHEDS)
bench-sites: $(B)/tests/bench_sites all
	$(Q)B=$(B) tests/bench/sites
# SHORT=1: a few minutes instead of half an hour.
bench-bond: deps
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all $(B)/tests/udpflow
	$(Q)B=$(B) tests/bench/bond
demo: deps
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all
	$(Q)tests/netns/demo.sh

deps:
	$(Q)tools/deps
print-libs:
	@echo $(ALL_LIBS)

# ---- the rest ----

MAN1 := $(wildcard man/*.1)
MAN5 := $(wildcard man/*.5)
MAN8 := $(wildcard man/*.8)
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)/etc/quicbond \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 \
		$(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/doc/quicbond/examples \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/lib/systemd/system \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d \
		$(DESTDIR)$(PREFIX)/lib/quicbond/sched $(DESTDIR)$(PREFIX)/include/quicbond
	install -m 755 build/quicbondd $(DESTDIR)$(PREFIX)/sbin
	install -m 755 build/quicbondctl build/quicbond-netem $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(SCHEDS) $(DESTDIR)$(PREFIX)/lib/quicbond/sched
	install -m 644 include/quicbond/sched.h $(DESTDIR)$(PREFIX)/include/quicbond
	install -m 644 bpf/sched/*.bpf.c $(DESTDIR)$(PREFIX)/share/doc/quicbond/examples
	install -m 644 $(MAN1) $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(MAN5) $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 $(MAN8) $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 examples/*.conf $(DESTDIR)$(PREFIX)/share/doc/quicbond/examples
	install -m 644 tools/completion/quicbondctl.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/quicbondctl
	install -m 644 systemd/quicbond.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/quicbond.conf
	sed 's,^ExecStart=/usr/,ExecStart=$(PREFIX)/,' systemd/quicbondd.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/quicbondd.service
deb: all
	$(Q)tools/deb

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')
clean:
	rm -rf build

help:
	@echo "make            build quicbondd, quicbondctl, the tools and the BPF programs"
	@echo "sudo make deps  install what it needs from Debian packages"
	@echo "sudo make demo  a site with two links, a hub, a transfer, a cut: in namespaces of its own"
	@echo "sudo make check deps, build, every test; check-unit, check-sim, check-net, check-zc are its parts"
	@echo "make check-sets N=2000  that many link sets drawn by seed, twice: is the bond never slower than the best link? FROM= JOBS="
	@echo "sudo make check-interop  our QUIC with other people's, client and server: prints a matrix; check has it in short"
	@echo "make fuzz       every fuzz target, or those of FUZZ=, for FUZZ_SECONDS= (60) each; tests/fuzz/README.md lists them"
	@echo "sudo make bench throughput, CPU and memory beside other tunnels, workers, sites, stages; writes build/bench.json"
	@echo "make bench-cc   congestion controllers against links, in virtual time: tables, and build/bench_cc.svg"
	@echo "make bench-core the QUIC core in memory: ns and instructions a packet, by stage; ns a decision of each scheduler"
	@echo "make bench-net  UDP sockets, io_uring, AF_XDP, zero-copy sends side by side: ns a packet"
	@echo "sudo make bench-sites  what each of SITES= (1000) connected sites costs a hub: memory, CPU"
	@echo "sudo make bench-bond  link sets alone and bonded, TCP, QUIC and calls; writes build/bench-bond.json; SHORT=1"
	@echo "make install    DESTDIR= PREFIX=/usr"
	@echo "make deb        build/quicbond_VERSION_ARCH.deb"
	@echo "variants        CC=clang, SANITIZE=address,undefined or thread, DEBUG=1, WERROR=1, V=1, BORINGSSL=PREFIX"

-include $(wildcard $(B)/daemon/*/*.d $(B)/daemon/*.d $(B)/tools/*.d $(B)/tests/*/*.d)
.SECONDARY:
