"""HMAC-SHA256 (FIPS 180-4, RFC 2104) with the two states of a key made once: short texts take two steps.

Where the processor has instructions for a step (SHA extensions of x86-64), they do it in a quarter of the time.
"""

from libc.stdint cimport uint32_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    typedef struct { uint32_t inner[8]; uint32_t outer[8]; } HmacKey;

    static const uint32_t sha_k[64] = {
        0x428a2f98,0x71374491,0xb5c0fbcf,0xe9b5dba5,0x3956c25b,0x59f111f1,0x923f82a4,0xab1c5ed5,
        0xd807aa98,0x12835b01,0x243185be,0x550c7dc3,0x72be5d74,0x80deb1fe,0x9bdc06a7,0xc19bf174,
        0xe49b69c1,0xefbe4786,0x0fc19dc6,0x240ca1cc,0x2de92c6f,0x4a7484aa,0x5cb0a9dc,0x76f988da,
        0x983e5152,0xa831c66d,0xb00327c8,0xbf597fc7,0xc6e00bf3,0xd5a79147,0x06ca6351,0x14292967,
        0x27b70a85,0x2e1b2138,0x4d2c6dfc,0x53380d13,0x650a7354,0x766a0abb,0x81c2c92e,0x92722c85,
        0xa2bfe8a1,0xa81a664b,0xc24b8b70,0xc76c51a3,0xd192e819,0xd6990624,0xf40e3585,0x106aa070,
        0x19a4c116,0x1e376c08,0x2748774c,0x34b0bcb5,0x391c0cb3,0x4ed8aa4a,0x5b9cca4f,0x682e6ff3,
        0x748f82ee,0x78a5636f,0x84c87814,0x8cc70208,0x90befffa,0xa4506ceb,0xbef9a3f7,0xc67178f2
    };
    static const uint32_t sha_begin[8] = {
        0x6a09e667,0xbb67ae85,0x3c6ef372,0xa54ff53a,0x510e527f,0x9b05688c,0x1f83d9ab,0x5be0cd19
    };

    #define SHA_ROTATED(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

    #if defined(__x86_64__) && defined(__GNUC__)
    #include <cpuid.h>
    #include <immintrin.h>

    static int sha_has_instructions(void) {
        static int known = -1;
        unsigned int a, b, c, d;
        if (known < 0)
            known = __get_cpuid(1, &a, &b, &c, &d) && (c >> 19 & 1) && (c >> 9 & 1)
                && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
        return known;
    }

    __attribute__((target("sha,sse4.1,ssse3")))
    static void sha_block_by_instructions(uint32_t state[8], const unsigned char *at) {
        const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
        __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
        __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
        __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xF0);
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4], sum, next;
        int i;
        for (i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(at + 16 * i)), big_endian);
        #pragma GCC unroll 16
        for (i = 0; i < 16; i++) {
            sum = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const __m128i *)(sha_k + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            if (i < 12) {
                next = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
                next = _mm_add_epi32(next, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(next, w[(i + 3) & 3]);
            }
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
        }
        low = _mm_shuffle_epi32(_mm_add_epi32(abef, abef_before), 0x1B);
        high = _mm_shuffle_epi32(_mm_add_epi32(cdgh, cdgh_before), 0xB1);
        _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xF0));
        _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
    }
    #else
    #define sha_has_instructions() 0
    #define sha_block_by_instructions(state, at) ((void)0)
    #endif

    static void sha_block_by_steps(uint32_t state[8], const unsigned char *at) {
        uint32_t w[64], a, b, c, d, e, f, g, h, t1, t2;
        int i;
        for (i = 0; i < 16; i++)
            w[i] = (uint32_t)at[4*i] << 24 | (uint32_t)at[4*i+1] << 16 | (uint32_t)at[4*i+2] << 8 | at[4*i+3];
        for (i = 16; i < 64; i++)
            w[i] = w[i-16] + w[i-7]
                + (SHA_ROTATED(w[i-15], 7) ^ SHA_ROTATED(w[i-15], 18) ^ (w[i-15] >> 3))
                + (SHA_ROTATED(w[i-2], 17) ^ SHA_ROTATED(w[i-2], 19) ^ (w[i-2] >> 10));
        a = state[0]; b = state[1]; c = state[2]; d = state[3];
        e = state[4]; f = state[5]; g = state[6]; h = state[7];
        for (i = 0; i < 64; i++) {
            t1 = h + (SHA_ROTATED(e, 6) ^ SHA_ROTATED(e, 11) ^ SHA_ROTATED(e, 25)) + ((e & f) ^ (~e & g)) + sha_k[i] + w[i];
            t2 = (SHA_ROTATED(a, 2) ^ SHA_ROTATED(a, 13) ^ SHA_ROTATED(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
        }
        state[0] += a; state[1] += b; state[2] += c; state[3] += d;
        state[4] += e; state[5] += f; state[6] += g; state[7] += h;
    }

    static void sha_block(uint32_t state[8], const unsigned char *at) {
        if (sha_has_instructions()) sha_block_by_instructions(state, at);
        else sha_block_by_steps(state, at);
    }

    /* What is left of a message of which `before` bytes were taken, and its end. */
    static void sha_finish(uint32_t state[8], const unsigned char *at, size_t size, uint64_t before) {
        unsigned char block[128];
        size_t padded, i;
        uint64_t bits = (before + size) * 8;
        while (size >= 64) { sha_block(state, at); at += 64; size -= 64; }
        padded = size < 56 ? 64 : 128;
        memset(block, 0, sizeof block);
        memcpy(block, at, size);
        block[size] = 0x80;
        for (i = 0; i < 8; i++) block[padded - 1 - i] = (unsigned char)(bits >> (8 * i));
        sha_block(state, block);
        if (padded == 128) sha_block(state, block + 64);
    }

    static void sha_bytes(const uint32_t state[8], unsigned char out[32]) {
        int i;
        for (i = 0; i < 8; i++) {
            out[4*i] = (unsigned char)(state[i] >> 24); out[4*i+1] = (unsigned char)(state[i] >> 16);
            out[4*i+2] = (unsigned char)(state[i] >> 8); out[4*i+3] = (unsigned char)state[i];
        }
    }

    static void hmac_key(HmacKey *key, const unsigned char *secret, size_t size) {
        unsigned char block[64], padded[64];
        uint32_t state[8];
        int i;
        memset(block, 0, sizeof block);
        if (size > 64) {
            memcpy(state, sha_begin, sizeof state);
            sha_finish(state, secret, size, 0);
            sha_bytes(state, block);
        } else memcpy(block, secret, size);
        for (i = 0; i < 64; i++) padded[i] = block[i] ^ 0x36;
        memcpy(key->inner, sha_begin, sizeof key->inner);
        sha_block(key->inner, padded);
        for (i = 0; i < 64; i++) padded[i] = block[i] ^ 0x5c;
        memcpy(key->outer, sha_begin, sizeof key->outer);
        sha_block(key->outer, padded);
    }

    /* 64 hexadecimal digits. */
    static void hmac_hex(const HmacKey *key, const unsigned char *at, size_t size, char *out) {
        static const char digits[] = "0123456789abcdef";
        uint32_t state[8];
        unsigned char inner[32];
        int i;
        memcpy(state, key->inner, sizeof state);
        sha_finish(state, at, size, 64);
        sha_bytes(state, inner);
        memcpy(state, key->outer, sizeof state);
        sha_finish(state, inner, 32, 64);
        sha_bytes(state, inner);
        for (i = 0; i < 32; i++) { out[2*i] = digits[inner[i] >> 4]; out[2*i+1] = digits[inner[i] & 15]; }
    }
    """
    ctypedef struct HmacKey:
        uint32_t inner[8]
        uint32_t outer[8]

    void hmac_key(HmacKey* key, const unsigned char* secret, size_t size) noexcept nogil
    void hmac_hex(const HmacKey* key, const unsigned char* at, size_t size, char* out) noexcept nogil
