/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live view: each round asks for the status, draws it into memory as `status` would, and shows as much of it as the terminal has
 * lines and columns (ncurses). Called by quicbondctl.c.
 */
#include "tools/ctl_top.h"

#include <locale.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/ctl_client.h"

struct page {
	char *text; /* free() it */
	size_t len;
	int exit_code;
};

/* take draws the daemon's state, or why there is none. */
static void take(const char *socket, const struct ctl_style *style, struct page *page)
{
	struct ctl_style st = *style;
	char err[CTL_ERR_LEN] = "";
	struct ctl_client c;
	json_t *status = NULL, *flows = NULL;

	page->exit_code = CTL_EXIT_ERROR;
	st.out = open_memstream(&page->text, &page->len);
	if (!st.out)
		abort();
	if (ctl_connect(&c, socket, err) == 0) {
		status = ctl_ask(&c, json_pack("{s:s}", "cmd", "status"), err);
		if (status)
			flows = ctl_ask(&c, json_pack("{s:s}", "cmd", "flows"), err);
		ctl_disconnect(&c);
	}
	if (status) {
		ctl_render_top(&st, status, flows);
		page->exit_code = ctl_status_exit(status);
	} else {
		fprintf(st.out, "%s\n", err);
	}
	json_decref(flows);
	json_decref(status);
	fclose(st.out);
}

/* set_colour does what an escape sequence of ctl_render.c says: 0 and 1, and 30 to 37. */
static void set_colour(int code)
{
	if (code == 0)
		attrset(A_NORMAL);
	else if (code == 1)
		attrset(A_BOLD);
	else if (code >= 30 && code <= 37)
		attrset(COLOR_PAIR(code - 30));
}

/* draw_line shows a line, clipped; its colours are the escape sequences in it. */
static void draw_line(int y, const char *line, size_t len)
{
	const char *end = line + len;

	move(y, 0);
	while (line < end && getcurx(stdscr) < COLS) {
		const char *esc = memchr(line, '\033', (size_t)(end - line));
		const char *stop = esc ? esc : end;

		addnstr(line, (int)(stop - line));
		if (getcury(stdscr) != y) /* it ran over */
			break;
		line = stop;
		if (esc && end - esc > 2 && esc[1] == '[') {
			char *m;

			set_colour((int)strtol(esc + 2, &m, 10));
			line = m + 1;
		} else if (esc) {
			line++;
		}
	}
	attrset(A_NORMAL);
}

static void draw(const struct page *page)
{
	const char *line = page->text, *end = page->text + page->len;

	erase();
	for (int y = 0; y < LINES && line < end; y++) {
		const char *nl = memchr(line, '\n', (size_t)(end - line));
		const char *stop = nl ? nl : end;

		draw_line(y, line, (size_t)(stop - line));
		if (y + 1 < LINES) {
			move(y + 1, 0);
			clrtobot();
		}
		line = stop + 1;
	}
	refresh();
}

static int top_in_terminal(const char *socket, const struct ctl_style *style, double every_s, unsigned int times)
{
	int rc = CTL_EXIT_ERROR, key = 0;

	setlocale(LC_ALL, "");
	initscr();
	cbreak();
	noecho();
	curs_set(0);
	if (style->has_colour && has_colors()) {
		start_color();
		use_default_colors();
		for (short i = 1; i < 8; i++)
			init_pair(i, i, -1);
	}
	timeout((int)(every_s * 1000));
	for (unsigned int i = 0; key != 'q' && (times == 0 || i < times); i++) {
		struct page page = {0};

		take(socket, style, &page);
		draw(&page);
		free(page.text);
		rc = page.exit_code;
		key = getch();
	}
	endwin();
	return rc;
}

static int top_in_pipe(const char *socket, const struct ctl_style *style, double every_s, unsigned int times)
{
	struct timespec pause = {.tv_sec = (time_t)every_s, .tv_nsec = (long)((every_s - (double)(time_t)every_s) * 1e9)};
	int rc = CTL_EXIT_ERROR;

	for (unsigned int i = 0; times == 0 || i < times; i++) {
		struct page page = {0};
		bool is_gone;

		if (i)
			nanosleep(&pause, NULL);
		take(socket, style, &page);
		is_gone = fwrite(page.text, 1, page.len, style->out) < page.len || fputc('\n', style->out) == EOF ||
			  fflush(style->out);
		free(page.text);
		rc = page.exit_code;
		if (is_gone)
			break;
	}
	return rc;
}

int ctl_top(const char *socket, const struct ctl_style *style, double every_s, unsigned int times)
{
	return isatty(STDOUT_FILENO) ? top_in_terminal(socket, style, every_s, times)
				     : top_in_pipe(socket, style, every_s, times);
}
