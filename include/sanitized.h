/* sanitized.h: whether this is built with AddressSanitizer, which wants some things done otherwise. */
#ifndef SHMAIL_SANITIZED_H
#define SHMAIL_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature) /* as clang says it */
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

#endif
