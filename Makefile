# mailcall: GNU make.
#
#   make            builds build/mailcall
#   make demo       shows it working against a throwaway mail server on loopback
#   make check      every test; SAN=1 the same under ASan and UBSan
#   make bench      what things cost, as ratios to the bare thing in the same run
#   make lint       format, compiler warnings as errors, static analysis, shellcheck
#   make fuzz       every fuzz target for FUZZ_SECONDS (60) each; needs clang
#   make install    DESTDIR and PREFIX as usual
#
# demo and check install the Debian packages they miss, or print the command that does.

PREFIX  ?= /usr/local
BUILD   ?= $(if $(SAN),build-san,build)
CC      ?= cc
PYTHON  ?= $(shell sh tests/packages python)
FUZZ_SECONDS ?= 60

# Stated once; the program, the man page and the tests read it from here.
VERSION := 0.1.0

ROOMS := base imap mail rule hook job sort sys net config watch
LIBS  := libuv openssl yaml-0.1 libpcre2-8 gmime-3.0 sqlite3 jansson libxml-2.0 libseccomp

WARN := -Wall -Wextra -Wshadow -Wundef -Wpointer-arith -Wwrite-strings -Wstrict-prototypes \
        -Wmissing-prototypes -Wold-style-definition -Wvla -Wformat=2 -Wno-format-nonliteral
CFLAGS ?= -O2 -g
# asserts stay on in every build: they guard our own bugs, never a peer's
MY_CPPFLAGS := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Isrc -DMAILCALL_VERSION='"$(VERSION)"' \
               -DMAILCALL_HOOKS='"$(PREFIX)/share/mailcall/hooks"' \
               $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
MY_CFLAGS   := -std=c17 $(WARN) -fno-strict-aliasing -fstack-protector-strong
MY_LDLIBS   := $(shell pkg-config --libs $(LIBS) 2>/dev/null)
ifdef SAN
MY_CFLAGS  += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else
MY_CPPFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif

SRC   := $(sort $(foreach room,$(ROOMS),$(wildcard src/$(room)/*.c)))
CMD   := $(sort $(wildcard cmd/*.c))
UNIT  := $(sort $(foreach room,$(ROOMS),$(wildcard tests/unit/$(room)_*_test.c)))
BENCH := $(sort $(wildcard tests/bench/*.c))
FUZZ  := $(sort $(wildcard tests/fuzz/*.c))
ARCHIVE  := $(BUILD)/libmailcall.a
UNIT_BIN := $(UNIT:tests/unit/%.c=$(BUILD)/unit/%)

COMPILE = @mkdir -p $(@D); echo "  CC    $<"; \
	$(CC) $(MY_CPPFLAGS) $(CPPFLAGS) $(MY_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
LINK = @mkdir -p $(@D); echo "  LINK  $@"; \
	$(CC) $(MY_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(MY_LDLIBS) $(LDLIBS)

.PHONY: all unit check demo bench lint format fuzz install uninstall clean
.DELETE_ON_ERROR:
.PRECIOUS: $(BUILD)/%.o

all: $(BUILD)/mailcall

$(BUILD)/mailcall: $(CMD:%.c=$(BUILD)/%.o) $(ARCHIVE)
	$(LINK)

$(ARCHIVE): $(SRC:%.c=$(BUILD)/%.o)
	@echo "  AR    $@"; rm -f $@; $(AR) rcs $@ $^

$(BUILD)/%.o: %.c Makefile
	$(COMPILE)

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(ARCHIVE)
	$(LINK)
$(UNIT_BIN): private MY_LDLIBS += -lcmocka

unit: $(UNIT_BIN)
	@for t in $^; do CMOCKA_MESSAGE_OUTPUT=stdout $$t >$$t.log 2>&1 || \
		{ cat $$t.log; echo "FAILED: $$t"; exit 1; }; done; echo "$(words $^) unit programs passed"

check:
	@sh tests/packages check
	@$(MAKE) --no-print-directory all $(UNIT_BIN)
	@BUILD=$(BUILD) SAN=$(SAN) PYTHON="$(PYTHON)" sh tests/run

demo:
	@sh tests/packages demo
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) sh tests/demo

bench: $(BENCH:tests/bench/%.c=$(BUILD)/bench/%)
	@for b in $^; do $$b || exit 1; done

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(ARCHIVE)
	$(LINK)

lint:
	@sh tests/packages lint
	@clang-format --dry-run --Werror $(SRC) $(CMD) $(UNIT) $(FUZZ) $(BENCH) $(wildcard src/*/*.h cmd/*.h)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-lint CFLAGS="-O2 -Werror" all \
		$(UNIT_BIN:$(BUILD)/%=$(BUILD)-lint/%) $(BENCH:tests/bench/%.c=$(BUILD)-lint/bench/%)
	@cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -Isrc --enable=warning,portability \
		--suppress=missingIncludeSystem $(SRC) $(CMD)
	shellcheck hooks/* tests/packages tests/run tests/demo .ci/run

format:
	clang-format -i $(SRC) $(CMD) $(UNIT) $(FUZZ) $(BENCH) $(wildcard src/*/*.h cmd/*.h)

# libFuzzer needs clang's own objects: the archive is built again in a folder of its own
fuzz:
	@sh tests/packages fuzz
	@$(MAKE) --no-print-directory fuzz-run BUILD=$(BUILD)-fuzz CC=clang SAN=1 \
		CFLAGS="-O1 -g -fsanitize=fuzzer-no-link"

.PHONY: fuzz-run
fuzz-run: $(FUZZ:tests/fuzz/%.c=$(BUILD)/fuzz/%)
	@for f in $^; do corpus=$(BUILD)/corpus/$$(basename $$f); mkdir -p $$corpus; \
		echo "  FUZZ  $$f $(FUZZ_SECONDS)s"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -artifact_prefix=$(BUILD)/ -verbosity=0 \
			$$corpus tests/fuzz/corpus/$$(basename $$f) || exit 1; done

$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(ARCHIVE)
	$(LINK)
$(FUZZ:tests/fuzz/%.c=$(BUILD)/fuzz/%): private LDFLAGS += -fsanitize=fuzzer

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/mailcall/hooks
	install -m 755 $(BUILD)/mailcall $(DESTDIR)$(PREFIX)/bin/mailcall
	install -m 755 hooks/* $(DESTDIR)$(PREFIX)/share/mailcall/hooks/
	install -m 644 man/mailcall-event.schema.json $(DESTDIR)$(PREFIX)/share/mailcall/

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/mailcall
	rm -rf $(DESTDIR)$(PREFIX)/share/mailcall

clean:
	rm -rf build build-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
