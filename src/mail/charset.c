/* SPDX-License-Identifier: ISC */
/* Charset labels as senders use them: the label's superset is what they mean (gb2312 is gb18030,
 * iso-8859-1 is Windows-1252), as web browsers agreed. A closed list: iconv loads code by name, and
 * the name is a stranger's. Refuses to know encoded words and the converter itself. */
#include "mail/charset.h"

#include "base/utf8.h"

static const struct {
    const char *label;
    const char *iconv;
} labels[] = {
    {"utf-8", "UTF-8"},
    {"utf8", "UTF-8"},
    {"unicode-1-1-utf-8", "UTF-8"},
    {"utf-7", "UTF-7"},
    {"unicode-1-1-utf-7", "UTF-7"},
    {"utf-16", "UTF-16"},
    {"utf-16be", "UTF-16BE"},
    {"utf-16le", "UTF-16LE"},
    {"iso-8859-1", "WINDOWS-1252"},
    {"iso8859-1", "WINDOWS-1252"},
    {"iso_8859-1", "WINDOWS-1252"},
    {"latin1", "WINDOWS-1252"},
    {"l1", "WINDOWS-1252"},
    {"windows-1252", "WINDOWS-1252"},
    {"cp1252", "WINDOWS-1252"},
    {"cp-1252", "WINDOWS-1252"},
    {"x-ansi", "WINDOWS-1252"},
    {"iso-8859-2", "ISO-8859-2"},
    {"latin2", "ISO-8859-2"},
    {"iso-8859-3", "ISO-8859-3"},
    {"iso-8859-4", "ISO-8859-4"},
    {"iso-8859-5", "ISO-8859-5"},
    {"iso-8859-6", "ISO-8859-6"},
    {"iso-8859-6-i", "ISO-8859-6"},
    {"iso-8859-7", "ISO-8859-7"},
    {"iso-8859-8", "ISO-8859-8"},
    {"iso-8859-8-i", "ISO-8859-8"},
    {"iso-8859-8-e", "ISO-8859-8"},
    {"iso-8859-9", "WINDOWS-1254"},
    {"latin5", "WINDOWS-1254"},
    {"iso-8859-10", "ISO-8859-10"},
    {"iso-8859-11", "WINDOWS-874"},
    {"iso-8859-13", "ISO-8859-13"},
    {"iso-8859-14", "ISO-8859-14"},
    {"iso-8859-15", "ISO-8859-15"},
    {"latin-9", "ISO-8859-15"},
    {"iso-8859-16", "ISO-8859-16"},
    {"windows-874", "WINDOWS-874"},
    {"cp874", "WINDOWS-874"},
    {"tis-620", "WINDOWS-874"},
    {"windows-1250", "WINDOWS-1250"},
    {"cp1250", "WINDOWS-1250"},
    {"windows-1251", "WINDOWS-1251"},
    {"cp1251", "WINDOWS-1251"},
    {"windows-1253", "WINDOWS-1253"},
    {"windows-1254", "WINDOWS-1254"},
    {"windows-1255", "WINDOWS-1255"},
    {"windows-1256", "WINDOWS-1256"},
    {"windows-1257", "WINDOWS-1257"},
    {"windows-1258", "WINDOWS-1258"},
    {"koi8-r", "KOI8-R"},
    {"koi8-u", "KOI8-U"},
    {"ibm437", "CP437"},
    {"cp437", "CP437"},
    {"ibm850", "CP850"},
    {"cp850", "CP850"},
    {"ibm852", "CP852"},
    {"ibm866", "CP866"},
    {"cp866", "CP866"},
    {"macintosh", "MACINTOSH"},
    {"gb2312", "GB18030"},
    {"gb_2312-80", "GB18030"},
    {"gb2312_charset", "GB18030"},
    {"chinesegb", "GB18030"},
    {"gbk", "GB18030"},
    {"x-gbk", "GB18030"},
    {"cp936", "GB18030"},
    {"windows-936", "GB18030"},
    {"gb18030", "GB18030"},
    {"big5", "BIG5-HKSCS"},
    {"big5-hkscs", "BIG5-HKSCS"},
    {"x-x-big5", "BIG5-HKSCS"},
    {"cp950", "BIG5-HKSCS"},
    {"euc-tw", "EUC-TW"},
    {"shift_jis", "CP932"},
    {"shift-jis", "CP932"},
    {"sjis", "CP932"},
    {"x-sjis", "CP932"},
    {"cp932", "CP932"},
    {"windows-31j", "CP932"},
    {"euc-jp", "EUC-JP-MS"},
    {"x-euc-jp", "EUC-JP-MS"},
    {"iso-2022-jp", "ISO-2022-JP"},
    {"iso-2022-jp-ms", "ISO-2022-JP"},
    {"cp50220", "ISO-2022-JP"},
    {"cp50221", "ISO-2022-JP"},
    {"euc-kr", "CP949"},
    {"ks_c_5601-1987", "CP949"},
    {"ks_c_5601-1989", "CP949"},
    {"ksc5601", "CP949"},
    {"ksc_5601", "CP949"},
    {"cp949", "CP949"},
    {"windows-949", "CP949"},
};

const char *
charset_of(struct span label)
{
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (span_ieq(label, span_str(labels[i].label)))
            return labels[i].iconv;
    return NULL;
}

const char *
charset_name(size_t i)
{
    return i < sizeof labels / sizeof *labels ? labels[i].iconv : NULL;
}

/* What escape sequences of ISO-2022-JP (RFC 1468, and JIS X 0201 and 0212) switch to. */
static const struct escape {
    const char *bytes;
    size_t width; /* bytes of a character */
    int prefix;   /* of it in EUC; 0: none; -1: it is ASCII */
} escapes[] = {
    {"\033(B", 1, -1},
    {"\033(J", 1, -1},
    {"\033(I", 1, 0x8E},
    {"\033$@", 2, 0},
    {"\033$B", 2, 0},
    {"\033$(D", 2, 0x8F},
};

static bool
starts(struct span s, const char *bytes)
{
    size_t n = strlen(bytes);
    return s.n >= n && memcmp(s.p, bytes, n) == 0;
}

static const struct escape *
escape_at(struct span s)
{
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        if (starts(s, escapes[i].bytes))
            return &escapes[i];
    return NULL;
}

static bool
is_graphic(char c)
{
    return c > ' ' && c < 0x7F;
}

void
charset_unescape_jis(struct buf *out, struct span bytes)
{
    const struct escape *set = &escapes[0];
    while (bytes.n > 0) {
        const struct escape *escape = bytes.p[0] == '\033' ? escape_at(bytes) : NULL;
        size_t n = 1;
        if (escape != NULL) {
            set = escape;
            n = strlen(escape->bytes);
        } else if (set->prefix < 0 || bytes.n < set->width || !is_graphic(bytes.p[0])) {
            buf_addc(out, bytes.p[0]);
        } else {
            n = set->width;
            if (set->prefix > 0)
                buf_addc(out, (char)set->prefix);
            for (size_t i = 0; i < n; i++)
                buf_addc(out, (char)(bytes.p[i] | 0x80));
        }
        bytes = (struct span){bytes.p + n, bytes.n - n};
    }
}

void
charset_western(struct buf *out, struct span bytes)
{
    /* 0x80-0x9F; the five holes stand for themselves, as the WHATWG has it */
    static const uint16_t high[32] = {0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020,
        0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018,
        0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153,
        0x009D, 0x017E, 0x0178};
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        utf8_add(out, c >= 0x80 && c <= 0x9F ? high[c - 0x80] : c);
    }
}

void
charset_guess(struct buf *out, struct span bytes)
{
    if (utf8_valid(bytes))
        buf_addspan(out, bytes);
    else
        charset_western(out, bytes);
}
