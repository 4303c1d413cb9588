import { describe, expect, test } from "bun:test";
import {
  type InvitationPayload,
  openInvitation,
  sealInvitation,
} from "../../../src/control/invitation_token.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { withoutSecrets } from "../../../src/model/secrets.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";

const BERLIN = createSigningKey();
const PAYLOAD: InvitationPayload = {
  version: 1,
  id: "0123456789abcdef",
  from: "berlin",
  to: "tokyo",
  address: "berlin.example.net:7422",
  key: BERLIN.publicKey,
  seed: new TextDecoder().decode(createSigningKey().seed()),
  expires: 1_900_000_000_000,
};

function refusal(token: string): string {
  try {
    openInvitation(token);
  } catch (thrown) {
    if (thrown instanceof LeafmeshError && thrown.code === "invitation_invalid") return thrown.message;
    throw thrown;
  }
  throw new Error("The token was taken");
}

describe("an invitation's token", () => {
  const token = sealInvitation(PAYLOAD, BERLIN);

  test("says what it was made of, also where a mail has wrapped it", () => {
    expect(openInvitation(token)).toEqual(PAYLOAD);
    expect(openInvitation(` ${token.slice(0, 40)}\r\n  ${token.slice(40)}\n`)).toEqual(PAYLOAD);
    expect(token).toMatch(/^lmi_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/);
  });

  test("is refused with any one character changed, and nothing of it is told", () => {
    for (let at = 0; at < token.length; at += 7) {
      const other = token[at] === "A" ? "B" : "A";
      const said = refusal(`${token.slice(0, at)}${other}${token.slice(at + 1)}`);
      expect(said).toStartWith("This is no invitation: ");
      expect(said).not.toContain(PAYLOAD.seed);
      expect(said).not.toContain(token.slice(10, 30));
    }
  });

  test("is refused when any field is another, signed by somebody else or by nobody", () => {
    const mallory = createSigningKey();
    const fields: Partial<InvitationPayload>[] = [
      { from: "paris" },
      { to: "paris" },
      { address: "evil.example.net:7422" },
      { expires: PAYLOAD.expires + 1 },
      { id: "fedcba9876543210" },
    ];
    for (const field of fields) {
      expect(refusal(sealInvitation({ ...PAYLOAD, ...field }, mallory))).toContain("was changed");
      const [body] = sealInvitation({ ...PAYLOAD, ...field }, BERLIN).split(".");
      expect(refusal(`${body}.${token.split(".")[1]}`)).toContain("was changed");
    }
  });

  test("is refused when it is no token at all, or one that unpacks without an end", async () => {
    const { deflateRawSync } = await import("node:zlib");
    const bomb = deflateRawSync(Buffer.alloc(10_000_000)).toString("base64url").slice(0, 16_000);
    for (const text of ["", "lmi_", "lmi_a", "lmi_a.b.c", "lm_abc", "x".repeat(20_000), `lmi_${bomb}.AAAA`])
      expect(refusal(text)).toStartWith("This is no invitation: ");
  });

  test("is blotted out of messages", () => {
    expect(withoutSecrets(`it says ${token}, whatever`)).toBe("it says <invitation>, whatever");
  });
});
