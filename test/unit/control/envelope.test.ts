import { describe, expect, test } from "bun:test";
import { type Expected, type Message, openMessage, sealMessage } from "../../../src/control/envelope.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";

const AUSTIN = createSigningKey();
const MALLORY = createSigningKey();
const NONCE = "0123456789abcdef";
const MESSAGE: Message = {
  version: 1,
  from: "austin",
  to: "berlin",
  nonce: NONCE,
  at: 1_700_000_000_000,
  verb: "answer",
  body: { offers: ["ä"] },
};
const EXPECTED: Expected = {
  from: "austin",
  to: "berlin",
  key: AUSTIN.publicKey,
  sender: "the site at nats-leaf://austin:7422",
  nonce: NONCE,
};

function refusal(sealed: string, expected: Expected = EXPECTED): string {
  try {
    openMessage(sealed, expected);
  } catch (thrown) {
    if (thrown instanceof LeafmeshError && thrown.code === "peer_refused") return thrown.message;
    throw thrown;
  }
  throw new Error("The message was taken");
}

/** Changes the envelope of a good message. */
function tampered(change: (envelope: { message: string; key: string; signature: string }) => object): string {
  return JSON.stringify(change(JSON.parse(sealMessage(MESSAGE, AUSTIN))));
}

describe("openMessage()", () => {
  test("gives the message back when its sender holds the expected key", () => {
    expect(openMessage(sealMessage(MESSAGE, AUSTIN), EXPECTED)).toEqual(MESSAGE);
    const { nonce: _, ...anyNonce } = EXPECTED;
    expect(openMessage(sealMessage(MESSAGE, AUSTIN), anyNonce)).toEqual(MESSAGE);
  });

  test("refuses another key, and says which came and which was expected", () => {
    expect(refusal(sealMessage(MESSAGE, MALLORY))).toBe(
      `the site at nats-leaf://austin:7422 signs as austin with key ${MALLORY.publicKey}; expected ${AUSTIN.publicKey}`,
    );
  });

  test("refuses the expected key with a signature of another", () => {
    const sealed = JSON.parse(sealMessage(MESSAGE, MALLORY));
    expect(refusal(JSON.stringify({ ...sealed, key: AUSTIN.publicKey }))).toContain(
      `whose signature is not that of ${AUSTIN.publicKey}`,
    );
  });

  test("refuses a text that was changed after it was signed", () => {
    const changed = (from: string, to: string) =>
      tampered((envelope) => ({ ...envelope, message: envelope.message.replace(from, to) }));
    expect(refusal(changed('"ä"', '"b"'))).toContain("whose signature is not that of");
    expect(refusal(changed('"version":1', '"version": 1'))).toContain("whose signature is not that of");
  });

  test("refuses a signature that is none", () => {
    for (const signature of ["", "AAAA", "%%%"]) {
      expect(refusal(tampered((envelope) => ({ ...envelope, signature })))).toContain(
        "whose signature is not",
      );
    }
  });

  test("refuses another site", () => {
    expect(refusal(sealMessage({ ...MESSAGE, from: "tokyo" }, AUSTIN))).toContain(
      "says that it is tokyo; expected austin",
    );
  });

  test("refuses a message that is meant for another site", () => {
    expect(refusal(sealMessage({ ...MESSAGE, to: "tokyo" }, AUSTIN))).toContain(
      "sent a message that is meant for tokyo, not berlin",
    );
  });

  test("refuses an answer to another question, so that an old one cannot be played again", () => {
    const old = sealMessage({ ...MESSAGE, nonce: "fedcba9876543210" }, AUSTIN);
    expect(refusal(old)).toContain("answered another question than the one asked");
  });

  test("refuses what is no message, and repeats only its beginning", () => {
    const garbage = [
      "",
      "hello",
      "null",
      "[]",
      "{}",
      "\u0000".repeat(10),
      tampered(({ key, signature }) => ({ key, signature })),
      tampered((envelope) => ({ ...envelope, more: 1 })),
      tampered((envelope) => ({ ...envelope, message: "{" })),
      tampered((envelope) => ({ ...envelope, message: JSON.stringify({ ...MESSAGE, version: 2 }) })),
      tampered((envelope) => ({ ...envelope, message: JSON.stringify({ ...MESSAGE, nonce: "short" }) })),
      tampered((envelope) => ({ ...envelope, message: JSON.stringify({ ...MESSAGE, from: "../austin" }) })),
      tampered((envelope) => ({
        ...envelope,
        message: JSON.stringify({ ...MESSAGE, more: "x".repeat(999) }),
      })),
    ];
    for (const sealed of garbage) {
      const said = refusal(sealed);
      expect(said).toContain("sent what is no message between sidecars");
      expect(said.length).toBeLessThan(300);
    }
  });
});
