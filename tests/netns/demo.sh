#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# `sudo make demo`: quicbond at work, in network namespaces of its own, in about a minute. Files go through two links
# alone, then through their bond; one link is cut while a download and a call run. Exits 0 when the bond did its job.
#
#   topology of lib.sh; wan1 is called dsl, wan2 lte
shopt -s lastpipe
[[ $(id -u) == 0 ]] || {
	echo "The demo makes network namespaces: run it as root (sudo make demo)."
	exit 1
}
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
need ping nc ss sha256sum timeout

DSL_DOWN=100 DSL_UP=40 DSL_MS=20 DSL_QUEUE_MS=100
LTE_DOWN=60 LTE_UP=25 LTE_MS=35 LTE_QUEUE_MS=150
MB=1000000
PORT=7000
PATIENCE_S=40       # a transfer that takes longer has failed
CUT_AT_S=3 CUT_FOR_S=4
MIN_GAIN=1.2        # the bond against the best link alone
MAX_SILENCE_MS=1000 # of the call, at the cut
WRONG=()            # what did not work

# ---- talking ----

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
	BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' PLAIN=$'\e[m'
else
	BOLD='' DIM='' RED='' GREEN='' YELLOW='' PLAIN=''
fi

title() {
	printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN"
}

say() {
	printf '  %s\n' "$@"
}

fail() {
	local log
	printf '\n%sThe demo failed: %s%s\n' "$RED" "$*" "$PLAIN"
	for log in edge hub; do
		[[ -s $QB_DIR/$log.log ]] || continue
		printf '%sThe last lines of the %s:%s\n' "$DIM" "$log" "$PLAIN"
		tail -n 5 "$QB_DIR/$log.log" | sed 's/^/  /'
	done
	echo "KEEP=1 keeps all logs."
	exit 1
}

trap 'printf "\nInterrupted; cleaning up.\n"; exit 130' INT

# check CONDITION WHAT: a promise; a broken one is told at the end, too.
check() {
	if is "$1"; then
		say "${GREEN}ok${PLAIN}    $2"
	else
		say "${RED}WRONG${PLAIN} $2"
		WRONG+=("$2")
	fi
}

# div A B [DIGITS]
div() {
	awk "BEGIN { printf \"%.${3:-1}f\", $2 ? ($1) / ($2) : 0 }"
}

# ---- transfers ----

# start NS IN OUT COMMAND...: in the background. Sets STARTED.
start() {
	local ns=$1 in=$2 out=$3
	shift 3
	ip netns exec "$QB_PREFIX$ns" "$@" <"$in" >"$out" 2>>"$QB_DIR/transfer.log" &
	STARTED=$!
	QB_PIDS+=("$STARTED")
}

# transfer_start down|up MEGABYTES: a TCP transfer between the LAN host and the server, digested where it arrives.
transfer_start() {
	BYTES=$(($2 * MB))
	((PORT++))
	TRANSFER_BASE=${#QB_PIDS[@]}
	rm -f "$QB_DIR/fifo"
	mkfifo "$QB_DIR/fifo"
	head -c $BYTES "$QB_DIR/file" >"$QB_DIR/part"
	timeout $PATIENCE_S sh -c 'sha256sum; date +%s%N' <"$QB_DIR/fifo" >"$QB_DIR/arrived" &
	ARRIVAL=$!
	QB_PIDS+=("$ARRIVAL")
	if [[ $1 == down ]]; then
		start inet "$QB_DIR/part" /dev/null nc -N -l $PORT
	else
		start inet /dev/null "$QB_DIR/fifo" nc -d -l $PORT
	fi
	wait_for "in_ns inet ss -Hltn sport = :$PORT | grep -q ." 5 || fail "the server does not listen"
	BEGAN_NS=$(date +%s%N)
	if [[ $1 == down ]]; then
		start lan /dev/null "$QB_DIR/fifo" nc -d $INET4 $PORT
	else
		start lan "$QB_DIR/part" /dev/null nc -N $INET4 $PORT
	fi
}

# transfer_end: waits, checks the file. Sets MBPS and SECONDS_TAKEN.
transfer_end() {
	local ended_ns wanted
	wait $ARRIVAL || fail "a transfer of $((BYTES / MB)) MB was not done after $PATIENCE_S s"
	{ read -r ARRIVED _ && read -r ended_ns; } <"$QB_DIR/arrived"
	wanted=$(sha256sum <"$QB_DIR/part")
	[[ $ARRIVED == "${wanted%% *}" ]] || fail "the file that arrived is not the one that was sent"
	MBPS=$(div "$BYTES * 8000" "$((ended_ns - BEGAN_NS))")
	SECONDS_TAKEN=$(div "$((ended_ns - BEGAN_NS))" 1e9)
	stop "${QB_PIDS[@]:TRANSFER_BASE}"
	QB_PIDS=("${QB_PIDS[@]:0:TRANSFER_BASE}")
}

# transfer down|up MEGABYTES NAME
transfer() {
	transfer_start "$1" "$2"
	transfer_end
	printf '  %-28s %4d MB in %4.1f s = %s%6.1f Mbit/s%s, SHA-256 equal\n' "$3" "$2" "$SECONDS_TAKEN" "$BOLD" \
		"$MBPS" "$PLAIN"
}

# ---- the call ----

# call_start: 50 packets/s of 200 bytes there and back, marked as voice (EF).
call_start() {
	start lan /dev/null "$QB_DIR/call" ping -n -D -i 0.02 -s 172 -Q 0xb8 $INET4
	CALL=$STARTED
	unset 'QB_PIDS[-1]'
	QB_PIDS=("$CALL" "${QB_PIDS[@]}")
}

# call_end: sets CALL_SENT, CALL_LOST, CALL_MS (median), CALL_MAX_MS, and CALL_SILENCE_MS: the longest time between
# two arrivals.
call_end() {
	kill -INT "$CALL" 2>/dev/null
	wait "$CALL"
	QB_PIDS=("${QB_PIDS[@]:1}")
	# What is under way when it ends is not lost.
	awk '/^\[/ && /time=/ {
			match($0, /icmp_seq=[0-9]+/)
			seq = substr($0, RSTART + 9, RLENGTH - 9) + 0
			if (seq > sent) sent = seq
			got++
			at = substr($1, 2) + 0
			split($0, a, "time=")
			print a[2] + 0
			if (last && at - last > silence) silence = at - last
			last = at
		}
		END { print "end", sent + 0, sent - got, silence * 1000 }' "$QB_DIR/call" | sort -n | awk '
		$1 == "end" { sent = $2; lost = $3; silence = $4; next }
		{ ms[++n] = $1 }
		END { printf "%d %d %.0f %.0f %.0f\n", sent, lost, ms[int((n + 1) / 2)], ms[n], silence }' |
		read -r CALL_SENT CALL_LOST CALL_MS CALL_MAX_MS CALL_SILENCE_MS
	((CALL_SENT > 0)) || fail "the call did not get through"
}

call_report() {
	say "the call beside it: $CALL_SENT packets, $CALL_LOST lost, round trip $CALL_MS ms (median), $CALL_MAX_MS ms at worst"
}

# ---- what the daemon says ----

# look: what `quicbondctl -j status` of the edge says of both links.
look() {
	ctl edge -j status | jq -r '[.links[] | {(.name): .}] | add
		| [.dsl, .lte] | map(.rx_bytes, .tx_bytes, .state) | join(" ")' |
		read -r DSL_RX DSL_TX DSL_STATE LTE_RX LTE_TX LTE_STATE
	[[ -n ${LTE_STATE:-} ]] || fail "quicbondctl says nothing of the links"
}

# bonded down|up MEGABYTES NAME: through the bond with a call beside it. Sets SHARE_DSL and SHARE_LTE, in MB.
bonded() {
	local dsl lte
	look
	dsl=$((DSL_RX + DSL_TX)) lte=$((LTE_RX + LTE_TX))
	call_start
	transfer "$1" "$2" "$3"
	call_end
	look
	SHARE_DSL=$(div "$((DSL_RX + DSL_TX - dsl))" $MB)
	SHARE_LTE=$(div "$((LTE_RX + LTE_TX - lte))" $MB)
	say "of it over dsl $SHARE_DSL MB, over lte $SHARE_LTE MB (with headers and acknowledgements)"
	call_report
}

# timeline: a line a second while the transfer runs; cuts the DSL line and heals it.
timeline() {
	local from=${EPOCHREALTIME/./} now last rx1 rx2 line=0 is_cut='' note
	look
	last=$from rx1=$DSL_RX rx2=$LTE_RX
	printf '  %s%6s  %-24s  %-24s%s\n' "$DIM" "" "dsl" "lte" "$PLAIN"
	while kill -0 $ARRIVAL 2>/dev/null; do
		sleep 0.1
		now=${EPOCHREALTIME/./}
		note=''
		if [[ -z $is_cut ]] && ((now - from >= CUT_AT_S * 1000000)); then
			netem link1 down=1
			is_cut=yes note="the DSL line goes silent: nothing passes, no port goes down"
		elif [[ $is_cut == yes ]] && ((now - from >= (CUT_AT_S + CUT_FOR_S) * 1000000)); then
			netem link1 down=0
			is_cut=healed note="the DSL line works again"
		fi
		[[ -n $note ]] && printf '%s%6.1f s  %s%s\n' "$YELLOW" "$(div $((now - from)) 1e6)" "$note" "$PLAIN"
		((now - from >= (line + 1) * 1000000)) || continue
		((line++))
		look
		printf '%6.1f s  %5.1f Mbit/s, %-10s  %5.1f Mbit/s, %-10s\n' "$(div $((now - from)) 1e6)" \
			"$(div "$((DSL_RX - rx1)) * 8" $((now - last)))" "$DSL_STATE" \
			"$(div "$((LTE_RX - rx2)) * 8" $((now - last)))" "$LTE_STATE"
		last=$now rx1=$DSL_RX rx2=$LTE_RX
	done
	[[ $is_cut == healed ]] || netem link1 down=0
}

# ---- the demo ----

title "quicbond: one link out of two"
cat <<EOF

                 ┌── dsl  $DSL_DOWN/$DSL_UP Mbit/s  $DSL_MS ms ──┐
   LAN ── edge ──┤                               ├── hub ── server
                 └── lte   $LTE_DOWN/$LTE_UP Mbit/s  $LTE_MS ms ──┘

EOF
say "Each is a network namespace; the links are emulated, with the queue of a modem" \
	"($DSL_QUEUE_MS and $LTE_QUEUE_MS ms). The machine's own network is left alone."

topology 2 \
	"down.rate=${DSL_DOWN}M up.rate=${DSL_UP}M delay=$((DSL_MS * 500))us limit=${DSL_QUEUE_MS}ms" \
	"down.rate=${LTE_DOWN}M up.rate=${LTE_UP}M delay=$((LTE_MS * 500))us limit=${LTE_QUEUE_MS}ms"
head -c $((160 * MB)) /dev/urandom >"$QB_DIR/file" || fail "no room for a file in $QB_DIR"

title "1  Each link alone, without quicbond"
hub_guard del
for i in 1 2; do
	name=dsl
	((i == 2)) && name=lte
	ip_in edge route replace 10.2.0.0/24 via 10.10.$i.1
	ip_in hub route replace 10.1.0.0/24 via 10.10.$i.2
	transfer down $((i == 1 ? 40 : 25)) "download over $name"
	ALONE_DOWN[i]=$MBPS
	transfer up $((i == 1 ? 16 : 10)) "upload over $name"
	ALONE_UP[i]=$MBPS
done
ip_in edge route del 10.2.0.0/24
ip_in hub route del 10.1.0.0/24
hub_guard add
BEST_DOWN=${ALONE_DOWN[1]} BEST_UP=${ALONE_UP[1]}
is "${ALONE_DOWN[2]} > $BEST_DOWN" && BEST_DOWN=${ALONE_DOWN[2]}
is "${ALONE_UP[2]} > $BEST_UP" && BEST_UP=${ALONE_UP[2]}

title "2  quicbondd on the edge and on the hub"
start_bond "edge:Link wan1.Interface=" "edge:Link wan2.Interface=" \
	"edge:Link dsl.Interface=wan1" "edge:Link lte.Interface=wan2"
must_within "reachable lan $INET4" 10
bond_settled
say "No rate, delay or weight of a link is configured: the daemons find them out." ""
ctl edge status | awk '/^(state|device|mtu|hub_address) / { printf "    %-12s %s\n", $1, $2 }'

title "3  The same through the bond, with a call beside it"
bonded down 100 "download over both"
BOND_DOWN=$MBPS DOWN_DSL=$SHARE_DSL DOWN_LTE=$SHARE_LTE DOWN_CALL_MS=$CALL_MS DOWN_SILENCE_MS=$CALL_SILENCE_MS
bonded up 40 "upload over both"
BOND_UP=$MBPS UP_DSL=$SHARE_DSL UP_LTE=$SHARE_LTE UP_CALL_MS=$CALL_MS UP_SILENCE_MS=$CALL_SILENCE_MS

title "4  A link fails while a download and a call run"
call_start
transfer_start down 160
timeline
transfer_end
call_end
say "" "The download went on: 160 MB in $SECONDS_TAKEN s, SHA-256 equal."
say "The call lost $CALL_LOST of $CALL_SENT packets; its longest silence was ${BOLD}$CALL_SILENCE_MS ms${PLAIN}."
wait_for '[[ $(status edge .state) == bonded ]]' 10
look

# ---- the report ----

# row NAME DSL LTE BOND: Mbit/s, and the bond in per cent of the sum.
row() {
	printf '  %-22s %10.1f %10.1f %10.1f %9.0f %%\n' "$@" "$(div "$4 * 100" "$2 + $3" 2)"
}

title "What it came to"
printf '  %s%-22s %10s %10s %10s %11s%s\n' "$DIM" "Mbit/s of the file" "dsl" "lte" "bond" "of the sum" "$PLAIN"
row "download" "${ALONE_DOWN[1]}" "${ALONE_DOWN[2]}" "$BOND_DOWN"
row "upload" "${ALONE_UP[1]}" "${ALONE_UP[2]}" "$BOND_UP"
printf '\n  %s%-22s %10s %10s%s\n' "$DIM" "MB carried (step 3)" "dsl" "lte" "$PLAIN"
printf '  %-22s %10.1f %10.1f\n' "download" "$DOWN_DSL" "$DOWN_LTE" "upload" "$UP_DSL" "$UP_LTE"
printf '\n  %s%-22s %10s %10s %10s %11s%s\n' "$DIM" "the call" "idle link" "download" "upload" "at the cut" "$PLAIN"
printf '  %-22s %10s %10s %10s %11s\n' "round trip, ms" "$DSL_MS" "$DOWN_CALL_MS" "$UP_CALL_MS" "$CALL_MS" \
	"longest silence, ms" 20 "$DOWN_SILENCE_MS" "$UP_SILENCE_MS" "$CALL_SILENCE_MS"
echo

check "$BOND_DOWN >= $MIN_GAIN * $BEST_DOWN" "download $(div "$BOND_DOWN" "$BEST_DOWN" 2) times the best link alone"
check "$BOND_UP >= $MIN_GAIN * $BEST_UP" "upload $(div "$BOND_UP" "$BEST_UP" 2) times the best link alone"
check "$DOWN_DSL >= 10 && $DOWN_LTE >= 10 && $UP_DSL >= 4 && $UP_LTE >= 4" "both links carried their part"
check "$CALL_SILENCE_MS <= $MAX_SILENCE_MS" "the call was silent for $CALL_SILENCE_MS ms when a link failed"
check "$([[ $DSL_STATE == active ]] && echo 1 || echo 0)" "after its repair the link is $DSL_STATE"
if ((${#WRONG[@]})); then
	printf '\n%s%d of 5 promises broken.%s\n' "$RED" ${#WRONG[@]} "$PLAIN"
	exit 1
fi
printf '\n%sThe bond works.%s Its namespaces and processes go now. README.md says how to set it up.\n' "$GREEN" "$PLAIN"
