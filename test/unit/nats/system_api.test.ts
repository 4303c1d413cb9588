import { describe, expect, test } from "bun:test";
import { formatAddress, localAddress, parseAddress } from "../../../src/nats/addresses.ts";
import { parseGoDurationMs } from "../../../src/nats/go_duration.ts";
import { retiredTenants } from "../../../src/nats/system_api.ts";

describe("parseGoDurationMs()", () => {
  test("reads what Go prints, and nothing else", () => {
    expect(parseGoDurationMs("1h2m3.5s")).toBe(3_723_500);
    expect(parseGoDurationMs("12ms")).toBe(12);
    expect(parseGoDurationMs("312.5µs")).toBeCloseTo(0.3125);
    expect(parseGoDurationMs("0s")).toBe(0);
    expect([undefined, "", "5", "5 s", "soon"].map(parseGoDurationMs)).toEqual([
      null,
      null,
      null,
      null,
      null,
    ]);
  });
});

describe("retiredTenants()", () => {
  test("names the tenants of the server that nobody wants any more", () => {
    const accounts = ["LINK_tokyo", "MESH", "SYS", "T_old", "T_acme", "T_gone"];
    expect(retiredTenants(accounts, ["acme", "new"])).toEqual(["gone", "old"]);
  });
});

describe("addresses", () => {
  test("are taken apart and put together, also of IPv6", () => {
    for (const text of ["127.0.0.1:4222", "[::1]:4222", "nats.example.net:1"]) {
      expect(formatAddress(parseAddress(text))).toBe(text);
    }
    expect(parseAddress("[::]:7422")).toEqual({ host: "::", port: 7422 });
  });

  test("of every interface are reached by loopback", () => {
    expect(localAddress("0.0.0.0:4222")).toBe("127.0.0.1:4222");
    expect(localAddress("[::]:4222")).toBe("[::1]:4222");
    expect(localAddress("10.0.0.7:4222")).toBe("10.0.0.7:4222");
  });
});
