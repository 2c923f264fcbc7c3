// The lab's guest: bare-metal AArch64 code that writes to guest RAM at a set rate.
//
// Runs at EL1 with the MMU off on QEMU's "virt" machine with gic-version=3. QEMU loads this raw image 0x80000 behind the
// beginning of RAM. The words behind `_start` are the guest's parameters; livemig/lab/guest/__init__.py writes them into
// a copy of the image, so one binary serves every run. All are 64-bit little endian.
//
// What it prints on the UART: "R\n" when RAM is filled and the writing begins, "h" as a heart beat, and "." after so
// many page writes. The number of writes never depends on when the guest was scheduled: whatever is due by the virtual
// counter is caught up (unless p_maxlag says otherwise), so a recorder that counts dots knows where the writer stands.
//
// Build (Debian: binutils-aarch64-linux-gnu); tests/lab/test_guest.py does the same and compares:
//   aarch64-linux-gnu-as -o guest.o guest.s
//   aarch64-linux-gnu-ld -T guest.ld -o guest.elf guest.o
//   aarch64-linux-gnu-objcopy -O binary guest.elf guest.bin

    .equ UART, 0x09000000           // PL011
    .equ UART_CR, 0x30
    .equ GICD, 0x08000000           // GICv3 distributor
    .equ GICR, 0x080A0000           // redistributor of the first CPU
    .equ GICR_WAKER, 0x14
    .equ GICR_SGI, 0x10000          // its frame for private interrupts
    .equ GICR_IGROUPR0, 0x80
    .equ GICR_ISENABLER0, 0x100
    .equ TIMER_INTID, 27            // EL1 virtual timer

    .text
    .global _start
_start:
    b       boot
    .balign 8
    .ascii  "LVMGST01"              // 0x08 magic: what __init__.py expects to find
p_fill_start:  .quad 0              // 0x10 first byte to fill with noise
p_fill_end:    .quad 0              // 0x18 end of the fill (0: no fill)
p_ws_base:     .quad 0              // 0x20 working set: first byte
p_ws_pages:    .quad 0              // 0x28 working set: pages of 4 KiB
p_rate:        .quad 0              // 0x30 page writes a second (0: never writes)
p_flags:       .quad 0              // 0x38 bit 0: random order, bit 1: spin instead of WFI
p_maxlag:      .quad 0              // 0x40 forget what is late beyond this many pages (0: always catch up)
p_tick_us:     .quad 0              // 0x48 wake-up period, microseconds
p_beat_us:     .quad 0              // 0x50 heart beat period, microseconds (0: none)
p_dot_pages:   .quad 0              // 0x58 page writes from dot to dot (0: no dots)

putc:                               // w0: the character; changes x1
    mov     x1, #UART
    str     w0, [x1]
    ret

boot:
    mov     x1, #UART
    mov     w0, #0x301              // UARTEN, TXE, RXE
    str     w0, [x1, #UART_CR]

    // Fill RAM with the words of a linear congruential generator: no page is zero, none is like another.
    ldr     x2, p_fill_start
    ldr     x3, p_fill_end
    ldr     x4, =6364136223846793005
    ldr     x5, =1442695040888963407
    mov     x6, #12345
1:  cmp     x2, x3
    b.hs    2f
    madd    x6, x6, x4, x5
    eor     x7, x6, x6, lsr #29
    stp     x6, x7, [x2], #16
    b       1b
2:
    // The virtual timer's interrupt must reach this CPU, so that WFI wakes (it is never taken: PSTATE.I stays set).
    ldr     x1, =GICD
    mov     w0, #0x12               // ARE, group 1
    str     w0, [x1]
    ldr     x1, =GICR
    ldr     w0, [x1, #GICR_WAKER]
    bic     w0, w0, #2              // wake the redistributor
    str     w0, [x1, #GICR_WAKER]
    ldr     x1, =(GICR + GICR_SGI)
    mov     w0, #-1
    str     w0, [x1, #GICR_IGROUPR0]
    mov     w0, #(1 << TIMER_INTID)
    str     w0, [x1, #GICR_ISENABLER0]
    mov     x0, #7
    msr     S3_0_C12_C12_5, x0      // ICC_SRE_EL1
    isb
    mov     x0, #0xff
    msr     S3_0_C4_C6_0, x0        // ICC_PMR_EL1
    mov     x0, #1
    msr     S3_0_C12_C12_7, x0      // ICC_IGRPEN1_EL1
    isb

    mov     w0, #'R'
    bl      putc
    mov     w0, #'\n'
    bl      putc

    mrs     x20, cntfrq_el0
    ldr     x21, p_ws_base
    ldr     x22, p_ws_pages
    ldr     x23, p_rate
    ldr     x24, p_flags
    ldr     x25, p_maxlag
    ldr     x0, p_tick_us
    mul     x0, x0, x20
    ldr     x1, =1000000
    udiv    x26, x0, x1             // counter ticks of a wake-up period
    ldr     x0, p_beat_us
    mul     x0, x0, x20
    udiv    x27, x0, x1             // counter ticks of a heart beat
    ldr     x28, p_dot_pages
    isb
    mrs     x10, cntvct_el0         // x10: time base
    mov     x11, #0                 // x11: page writes since the base
    mov     x12, #0                 // x12: next page (sequential order)
    mov     x13, #1                 // x13: what is written, another value each time
    ldr     x14, =88172645463325252 // x14: state of xorshift64 (random order)
    add     x15, x10, x27           // x15: next heart beat
    mov     x16, x28                // x16: writes until the next dot

loop:
    isb
    mrs     x9, cntvct_el0
    cbz     x27, 3f
    cmp     x9, x15
    b.lo    3f
    add     x15, x9, x27
    mov     w0, #'h'
    bl      putc
3:
    cbz     x23, sleep
    sub     x0, x9, x10
    mul     x0, x0, x23
    udiv    x0, x0, x20             // x0: writes due since the base
    subs    x8, x0, x11             // x8: writes to do now
    b.ls    sleep
    cbz     x25, write
    cmp     x8, x25
    b.ls    write
    mov     x8, x25                 // too late: forget what is beyond maxlag, count from here
    mov     x10, x9
    mov     x11, #0
    sub     x11, x11, x25
write:
    add     x11, x11, x8
    tbnz    x24, #0, write_random
write_sequential:
    add     x2, x21, x12, lsl #12
    str     x13, [x2]
    add     x13, x13, #1
    add     x12, x12, #1
    cmp     x12, x22
    csel    x12, x12, xzr, lo
    cbz     x28, 4f
    subs    x16, x16, #1
    b.ne    4f
    mov     x16, x28
    mov     w0, #'.'
    bl      putc
4:  subs    x8, x8, #1
    b.ne    write_sequential
    b       sleep
write_random:
    eor     x14, x14, x14, lsl #13
    eor     x14, x14, x14, lsr #7
    eor     x14, x14, x14, lsl #17
    umulh   x2, x14, x22            // page = state * pages / 2^64
    add     x2, x21, x2, lsl #12
    str     x13, [x2]
    add     x13, x13, #1
    cbz     x28, 5f
    subs    x16, x16, #1
    b.ne    5f
    mov     x16, x28
    mov     w0, #'.'
    bl      putc
5:  subs    x8, x8, #1
    b.ne    write_random
sleep:
    tbnz    x24, #1, loop           // spin
    msr     cntv_tval_el0, x26
    mov     x0, #1
    msr     cntv_ctl_el0, x0
    isb
    wfi
    b       loop
    .ltorg
