import { describe, expect, test } from "bun:test";
import { LinkLog } from "../../../src/nats/link_log.ts";

const AT = new Date("2026-01-02T03:04:05Z");

/** What is known after these lines, which nats-server 2.15.1 has written. */
function after(...lines: readonly string[]): LinkLog {
  const log = new LinkLog(() => AT);
  for (const message of lines) log.take({ level: "info", message });
  return log;
}

const DIALLED = "10.0.0.9:7422 - lid:9 - Leafnode connection created for account: LINK_tokyo ";
const dialled = (text: string) => after(DIALLED, `10.0.0.9:7422 - lid:9 - ${text}`).failure("tokyo")?.why;
const accepted = (text: string) =>
  after("10.0.0.3:4711 - lid:9 - Leafnode connection created ", `10.0.0.3:4711 - lid:9 - ${text}`);
const TLS = "TLS leafnode handshake error: ";
const CN = "(CN=tokyo SHA-256: b184b2618dffa40d9df31ef88dc6bf184333dc7bbb0fa914116e91c47d08b0f9)";

describe("a link that we dial", () => {
  test.each([
    [
      `tls: failed to verify certificate: x509: certificate signed by unknown authority ${CN}`,
      "the certificate that tokyo shows is not of the CA that is trusted here",
    ],
    [
      `tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-22T04:58:25Z is after 2026-11-21T03:58:26Z ${CN}`,
      "the certificate that tokyo shows has expired or is not yet valid (now 2026-11-22T04:58:25Z, limit 2026-11-21T03:58:26Z)",
    ],
    [
      `tls: failed to verify certificate: x509: cannot validate certificate for 10.0.0.9 because it doesn't contain any IP SANs ${CN}`,
      "is not for the address that we dial",
    ],
    [
      `tls: failed to verify certificate: x509: certificate is valid for localhost, not tokyo.example.net ${CN}`,
      "set server.advertise there",
    ],
    ["tls: first record does not look like a TLS handshake", "tokyo answers without TLS"],
    ["remote error: tls: certificate required", "tokyo wants a certificate of a CA that it trusts"],
    ["something new", "the TLS handshake with tokyo failed: something new"],
  ])("%s", (text, expected) => {
    expect(dialled(TLS + text)).toContain(expected);
  });

  test("keeps the reason when the connection closes after it, and says what a bare close may mean", () => {
    const log = after(
      DIALLED,
      `10.0.0.9:7422 - lid:9 - ${TLS}tls: first record does not look like a TLS handshake`,
      "10.0.0.9:7422 - lid:9 - Leafnode connection closed: TLS Handshake Failure",
    );
    expect(log.failure("tokyo")?.why).toContain("answers without TLS");
    expect(dialled("Leafnode connection closed: Read Error")).toContain(
      "ends the connection after the handshake",
    );
    expect(dialled("Leafnode Error 'Authorization Violation'")).toContain("does not know our key");
    log.cleared("tokyo");
    expect(log.failure("tokyo")).toBeNull();
  });
});

describe("a link that is dialled to us", () => {
  test("is told of the peer whose name the certificate has", () => {
    const log = accepted(
      `${TLS}tls: failed to verify certificate: x509: certificate signed by unknown authority ${CN}`,
    );
    expect(log.failure("tokyo")?.why).toContain(
      "the site at 10.0.0.3 that says it is tokyo shows is not of the CA",
    );
  });

  test("is a stranger's where nothing says who it is, and nobody can fill the memory", () => {
    const log = accepted(`${TLS}tls: client didn't provide a certificate`);
    expect(log.strangers).toEqual([
      {
        at: AT,
        ip: "10.0.0.3",
        why: expect.stringContaining("a site at 10.0.0.3 shows no certificate of a CA"),
      },
    ]);
    for (let i = 0; i < 1000; i++) {
      log.take({ level: "error", message: `10.0.${i >> 8}.${i & 255}:1 - lid:${i} - ${TLS}EOF` });
      log.take({ level: "error", message: `10.0.0.1:1 - lid:${i} - ${TLS}x (CN=n${i} SHA-256: 00)` });
    }
    expect(log.strangers.length).toBe(16);
    expect(log.failure("n1")).toBeNull();
    expect(log.failure("n999")).not.toBeNull();
  });

  test("of the rest of the log nothing is taken", () => {
    const log = after("Server is ready", "127.0.0.1:1 - cid:4 - Client connection closed: Client Closed");
    expect(log.strangers).toEqual([]);
  });
});

describe("a server that dials", () => {
  const ADDRESSES = ["10.0.0.9:7422"];
  const CLOSED = "10.0.0.9:7422 - lid:9 - Leafnode connection closed: ";

  /** Whether it is said to have stopped so many seconds after the last line. */
  function stopped(seconds: number, ...lines: readonly string[]): boolean {
    let now = 0;
    const log = new LinkLog(
      () => AT,
      () => now,
    );
    for (const message of lines) {
      now += 10;
      log.take({ level: "info", message });
    }
    now += seconds * 1000;
    return log.stoppedDialling("tokyo", ADDRESSES);
  }

  test("has stopped when a write has failed and nothing follows", () => {
    expect(stopped(5, DIALLED, `${CLOSED}Write Error`)).toBe(false);
    expect(stopped(7, DIALLED, `${CLOSED}Write Error`)).toBe(true);
    // What it was refused for it tries again after half a minute.
    expect(stopped(40, DIALLED, `${CLOSED}Authentication Failure`)).toBe(false);
    expect(stopped(50, DIALLED, `${CLOSED}Authentication Failure`)).toBe(true);
  });

  test("has not stopped while it is linked, dials again, or says that it cannot", () => {
    const next = DIALLED.replace("lid:9", "lid:10");
    const failed =
      'Error trying to connect as leafnode to remote server "10.0.0.9:7422" (attempt 1): dial tcp 10.0.0.9:7422: connect: connection refused';
    expect(stopped(100)).toBe(false);
    expect(stopped(100, DIALLED)).toBe(false);
    expect(stopped(100, DIALLED, `${CLOSED}Write Error`, next)).toBe(false);
    expect(stopped(100, DIALLED, next, `${CLOSED}Write Error`)).toBe(false);
    expect(stopped(100, DIALLED, `${CLOSED}Write Error`, failed)).toBe(false);
    expect(stopped(100, failed, DIALLED, `${CLOSED}Write Error`)).toBe(true);
    expect(stopped(100, DIALLED, `${CLOSED}Write Error`, failed.replaceAll("10.0.0.9", "10.0.0.8"))).toBe(
      true,
    );
  });

  test("is known also from what it said before, and that is told as no failure of now", () => {
    let now = 0;
    const log = new LinkLog(
      () => AT,
      () => now,
    );
    const failed =
      'Error trying to connect as leafnode to remote server "10.0.0.9:7422" (attempt 1): dial tcp 10.0.0.9:7422: connect: connection refused';
    for (const message of [failed, DIALLED, `${CLOSED}Write Error`]) log.recall({ level: "info", message });
    expect(log.stoppedDialling("tokyo", ADDRESSES)).toBe(false);
    now = 7000;
    expect(log.stoppedDialling("tokyo", ADDRESSES)).toBe(true);
    log.recall({ level: "info", message: failed });
    expect(log.stoppedDialling("tokyo", ADDRESSES)).toBe(false);
    log.recall({ level: "info", message: `${CLOSED}Read Error` });
    expect(log.failure("tokyo")).toBeNull();
    expect(log.strangers).toEqual([]);
  });

  test("has its time again when it was told to dial anew", () => {
    let now = 0;
    const log = new LinkLog(
      () => AT,
      () => now,
    );
    for (const message of [DIALLED, `${CLOSED}Write Error`]) log.take({ level: "info", message });
    now = 7000;
    log.dialledAnew("tokyo");
    expect(log.stoppedDialling("tokyo", ADDRESSES)).toBe(false);
    now = 53_000;
    expect(log.stoppedDialling("tokyo", ADDRESSES)).toBe(true);
  });
});
