/* See LICENSE for copyright and license details. */
#ifndef TEXT_H
#define TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Formatted text.  The C library's own is a tenth of a small static binary,
 * most of it for numbers with a fraction and for wide characters.
 *
 * Known are %c %d %o %s %u %x and %%, with l, ll and z, a width with or
 * without zeros, and a precision (also *) for %s.
 */

#if defined(__GNUC__)
#define TEXT_PRINTF(fmt, args)	__attribute__((format(printf, fmt, args)))
#else
#define TEXT_PRINTF(fmt, args)
#endif

/*
 * As snprintf(3): at most size bytes, always terminated unless size is 0;
 * returns the length of the whole text, cut or not.
 */
size_t	text_format(char *dst, size_t size, const char *fmt, ...)
	    TEXT_PRINTF(3, 4);
size_t	text_vformat(char *dst, size_t size, const char *fmt, va_list ap);

/* Write a text, of TEXT_MAX bytes at most, to a descriptor. */
#define TEXT_MAX	4096
void	text_write(int fd, const char *fmt, ...) TEXT_PRINTF(2, 3);

/*
 * The number that text begins with, in digits of a base up to 10: 0 without
 * any, UINT64_MAX if it is larger.  Returns where the digits end.
 */
const char	*text_digits(const char *text, unsigned int base, uint64_t *n);

/*
 * Whether text is a number in that base, digits alone, of max at most: *n.  If
 * not, *n is of no use.
 */
bool	text_number(const char *text, unsigned int base, unsigned long max,
	    unsigned long *n);

/* The value of a hexadecimal digit, or -1. */
static inline int
text_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * The 4 or 16 bytes of an IP address, in the network's order, as RFC 5952 has
 * them.  Returns dst, terminated, and cut if size is too small.
 */
const char	*text_in4(const unsigned char *address, char *dst, size_t size);
const char	*text_in6(const unsigned char *address, char *dst, size_t size);

#endif
