/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

struct out {
	char *dst;
	size_t size;
	size_t len;		/* of the whole text, cut or not */
};

/* The flags between a % and its letter. */
struct spec {
	bool zero;
	size_t width;
	size_t most;		/* precision */
	int longs;		/* how many l; z is as one */
};

static void
put(struct out *out, const char *text, size_t n)
{
	size_t fits;

	if (out->len + 1 < out->size) {
		fits = out->size - 1 - out->len;
		memcpy(out->dst + out->len, text, n < fits ? n : fits);
	}
	out->len += n;
}

static void
pad(struct out *out, const struct spec *spec, size_t n)
{
	for (; n < spec->width; n++)
		put(out, spec->zero ? "0" : " ", 1);
}

static void
put_number(struct out *out, const struct spec *spec, unsigned long long n,
    unsigned int base, bool negative)
{
	char digits[24];
	size_t i = sizeof(digits);

	do {
		digits[--i] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n > 0);
	if (negative)
		digits[--i] = '-';
	pad(out, spec, sizeof(digits) - i);
	put(out, digits + i, sizeof(digits) - i);
}

/* A width or a precision: a number, or the argument that '*' stands for. */
static size_t
take_size(const char **fmt, va_list *ap)
{
	size_t n = 0;
	int given;

	if (**fmt == '*') {
		++*fmt;
		given = va_arg(*ap, int);
		return given < 0 ? SIZE_MAX : (size_t)given;
	}
	for (; **fmt >= '0' && **fmt <= '9'; ++*fmt)
		n = n * 10 + (size_t)(**fmt - '0');
	return n;
}

static unsigned long long
take_unsigned(const struct spec *spec, va_list *ap)
{
	if (spec->longs == 0)
		return va_arg(*ap, unsigned int);
	if (spec->longs == 1)	/* a size_t is no longer on any system */
		return va_arg(*ap, unsigned long);
	return va_arg(*ap, unsigned long long);
}

static long long
take_signed(const struct spec *spec, va_list *ap)
{
	if (spec->longs == 0)
		return va_arg(*ap, int);
	if (spec->longs == 1)
		return va_arg(*ap, long);
	return va_arg(*ap, long long);
}

/* One conversion: *fmt stands behind its %, and then behind its letter. */
static void
convert(struct out *out, const char **fmt, va_list *ap)
{
	struct spec spec = { .most = SIZE_MAX };
	const char *text;
	long long number;
	size_t n = 0;
	char c;

	spec.zero = **fmt == '0';
	spec.width = take_size(fmt, ap);
	if (**fmt == '.') {
		++*fmt;
		spec.most = take_size(fmt, ap);
	}
	for (; **fmt == 'l' || **fmt == 'z'; ++*fmt)
		spec.longs++;
	switch (**fmt) {
	case 'c':
		c = (char)va_arg(*ap, int);
		put(out, &c, 1);
		break;
	case 'd':
		number = take_signed(&spec, ap);
		put_number(out, &spec, number < 0 ?
		    0 - (unsigned long long)number :
		    (unsigned long long)number, 10, number < 0);
		break;
	case 'o':
		put_number(out, &spec, take_unsigned(&spec, ap), 8, false);
		break;
	case 's':
		/* Up to the precision it need not be terminated. */
		text = va_arg(*ap, const char *);
		while (n < spec.most && text[n] != '\0')
			n++;
		pad(out, &spec, n);
		put(out, text, n);
		break;
	case 'u':
		put_number(out, &spec, take_unsigned(&spec, ap), 10, false);
		break;
	case 'x':
		put_number(out, &spec, take_unsigned(&spec, ap), 16, false);
		break;
	default:
		put(out, *fmt, 1);
		break;
	}
	++*fmt;
}

size_t
text_vformat(char *dst, size_t size, const char *fmt, va_list args)
{
	struct out out = { dst, size, 0 };
	va_list ap;
	size_t n;

	va_copy(ap, args);	/* so that its address can be taken */
	while (*fmt != '\0') {
		n = strcspn(fmt, "%");
		put(&out, fmt, n);
		fmt += n;
		if (*fmt == '%') {
			fmt++;
			convert(&out, &fmt, &ap);
		}
	}
	va_end(ap);
	if (size > 0)
		dst[out.len < size ? out.len : size - 1] = '\0';
	return out.len;
}

size_t
text_format(char *dst, size_t size, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = text_vformat(dst, size, fmt, ap);
	va_end(ap);
	return n;
}

void
text_write(int fd, const char *fmt, ...)
{
	char text[TEXT_MAX], *p = text;
	size_t left;
	ssize_t n;
	va_list ap;

	va_start(ap, fmt);
	left = text_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (left >= sizeof(text))
		left = sizeof(text) - 1;
	while (left > 0) {
		n = write(fd, p, left);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		left -= (size_t)n;
	}
}

const char *
text_digits(const char *text, unsigned int base, uint64_t *n)
{
	unsigned int digit;

	*n = 0;
	for (; (digit = (unsigned int)(*text - '0')) < base; text++)
		*n = *n > (UINT64_MAX - digit) / base ? UINT64_MAX :
		    *n * base + digit;
	return text;
}

bool
text_number(const char *text, unsigned int base, unsigned long max,
    unsigned long *n)
{
	uint64_t got;
	const char *end = text_digits(text, base, &got);

	*n = (unsigned long)got;
	return end != text && *end == '\0' && got <= max && got < UINT64_MAX;
}

const char *
text_in4(const unsigned char *a, char *dst, size_t size)
{
	text_format(dst, size, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
	return dst;
}

/*
 * RFC 5952: the first of the longest runs of zero groups becomes "::".  Not
 * inet_ntop(3), which has printf(3) with it in small C libraries.
 */
const char *
text_in6(const unsigned char *a, char *dst, size_t size)
{
	unsigned int group[8];
	size_t i, run, first = 8, longest = 1, n = 0;

	for (i = 0; i < 8; i++)
		group[i] = (unsigned int)a[2 * i] << 8 | a[2 * i + 1];
	for (i = 0; i < 8; i += run + 1) {
		for (run = 0; i + run < 8 && group[i + run] == 0; run++)
			;
		if (run > longest) {
			first = i;
			longest = run;
		}
	}
	for (i = 0; i < 8 && n < size; i++) {
		if (i == first) {
			i += longest - 1;
			n += text_format(dst + n, size - n, "%s",
			    i == 7 ? "::" : ":");
			continue;
		}
		n += text_format(dst + n, size - n, "%s%x", i > 0 ? ":" : "",
		    group[i]);
		if (i == 5 && first == 0 && longest == 5 &&
		    group[5] == 0xffff && n + 1 < size) {
			dst[n++] = ':';
			text_in4(a + 12, dst + n, size - n);
			break;
		}
	}
	return dst;
}
