import { describe, expect, test } from "bun:test";
import { createUser } from "@nats-io/nkeys";
import { privateKeyOf, publicUserKeyOf, signEd25519, verifyEd25519 } from "../../../src/model/nkey.ts";

describe("Ed25519 with nkeys", () => {
  test("signs and verifies as the client library does", () => {
    for (let i = 0; i < 8; i++) {
      const pair = createUser();
      const bytes = new TextEncoder().encode(`text ${i}`);
      const ours = signEd25519(privateKeyOf(new TextDecoder().decode(pair.getSeed())), bytes);
      expect(Buffer.from(ours).equals(Buffer.from(pair.sign(bytes)))).toBe(true);
      expect(pair.verify(bytes, ours)).toBe(true);
      expect(verifyEd25519(pair.getPublicKey(), bytes, ours)).toBe(true);
      expect(verifyEd25519(pair.getPublicKey(), new Uint8Array([1]), ours)).toBe(false);
      expect(verifyEd25519(createUser().getPublicKey(), bytes, ours)).toBe(false);
    }
  });

  test("has the public key that the client library has", () => {
    for (let i = 0; i < 8; i++) {
      const pair = createUser();
      expect(publicUserKeyOf(privateKeyOf(new TextDecoder().decode(pair.getSeed())))).toBe(
        pair.getPublicKey(),
      );
    }
  });

  test("is a plain no for what is no key or signature", () => {
    const bytes = new Uint8Array([1]);
    const pair = createUser();
    for (const key of ["", "U", "!", "UAAA", `${pair.getPublicKey()}AA`]) {
      expect(verifyEd25519(key, bytes, pair.sign(bytes))).toBe(false);
    }
    expect(verifyEd25519(pair.getPublicKey(), bytes, new Uint8Array([1, 2]))).toBe(false);
    expect(() => privateKeyOf("SU")).toThrow("not an nkey");
  });
});
