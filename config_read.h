/* See LICENSE for copyright and license details. */
#ifndef CONFIG_READ_H
#define CONFIG_READ_H

#include "config.h"
#include "text.h"

/*
 * Files, lines and words of a configuration; their meaning is config.c's and
 * config_route.c's.
 */

#define CONFIG_WORDS	64	/* in one directive, its name included */

struct directive;

/* A reader, and where it stands. */
struct config_reader {
	struct config *config;
	/* Called with the n words of each line, and a NULL behind them. */
	void (*run)(struct config_reader *r, char **words, int n);
	const char *name;	/* of the file, or the option */
	unsigned int line;	/* 0: an option, no file */
	const char *dir;	/* that relative paths are under */
	int depth;		/* of files that include each other */
	const struct directive *directive;	/* whose words these are */
	bool from_option_r;	/* fd:// may be missing before a path */
};

/* Report "where: what", and count it as an error of the configuration. */
void	config_read_error(struct config_reader *r, const char *fmt, ...)
	    TEXT_PRINTF(2, 3);

/*
 * A copy of a text; and the place where the reader stands, for messages that
 * come later.  The caller's; NULL after a message.
 */
char	*config_read_copy(struct config_reader *r, const char *text);
char	*config_read_place(struct config_reader *r);

/* Set a member to a copy of a value; its old value is freed. */
void	config_read_string(struct config_reader *r, char **dst,
	    const char *value);

/*
 * A path, relative ones under the folder of the reader's file; a decimal number
 * from min to max; a time with ms, s (also when nothing is said), min or h, in
 * milliseconds.  what is named in messages.  False after a message, with *out
 * or *ms unchanged.
 */
bool	config_read_path(struct config_reader *r, const char *path, char *dst,
	    size_t size);
bool	config_read_number(struct config_reader *r, const char *what,
	    const char *text, uint32_t min, uint32_t max, uint32_t *out);
bool	config_read_time(struct config_reader *r, const char *what,
	    const char *text, uint32_t *ms);

/*
 * If word is mode=, owner= or group=, set it for the file of a listening
 * socket, or report what is wrong with it; false if it is another.
 */
bool	config_read_right(struct config_reader *r, const char *what,
	    const char *word, struct config_listen *listener);

/* Read a line; or len bytes of lines, with room for a NUL.  Overwrites both. */
void	config_read_line(struct config_reader *r, char *line);
void	config_read_lines(struct config_reader *r, char *text, size_t len);

/* Read a file ("-": standard input) that the other reader includes or names. */
void	config_read_file(struct config_reader *from, const char *path);

/*
 * Stand at an option: relative paths are under the current folder.  False after
 * a message.
 */
bool	config_read_option(struct config_reader *r);

#endif
