/**
 * What the demo holds redacted events against: the same paths as berlin's policy for austin, found again by a plain walk
 * over parsed JSON. Nothing of the policy engine is used here, or its mistakes would go unseen.
 */
import type { JsonObject } from "./payloads.ts";

/** Members that must not be readable: named `key`, anywhere or directly below a member named `parent`. */
export interface PersonalMember {
  readonly parent: string | null;
  readonly key: string;
  readonly shown: "domain" | "pseudonym" | "nothing";
}

/** A payload as it was published, and how it is written as text. */
export interface WrittenPayload {
  readonly value: JsonObject;
  readonly write: (value: JsonObject) => string;
}

/** What a receiver got of a payload. */
export type RedactionCheck =
  | { readonly type: "ok"; readonly redactions: number }
  | { readonly type: "leak"; readonly what: string }
  | { readonly type: "altered"; readonly what: string };

/**
 * Compares what was received with what was published: a personal member must be hidden as its `shown` says, and every
 * byte outside of those members must be the same.
 */
export function checkRedaction(
  published: WrittenPayload,
  members: readonly PersonalMember[],
  received: string,
): RedactionCheck {
  let value: unknown;
  try {
    value = JSON.parse(received);
  } catch {
    return { type: "altered", what: "the payload is no JSON any more" };
  }
  const walk = new Comparison(members);
  const expected = walk.expected(published.value, value, null);
  if (walk.leak !== null) return { type: "leak", what: walk.leak };
  if (walk.wrong !== null) return { type: "altered", what: walk.wrong };
  if (!isObject(expected) || published.write(expected) !== received) {
    return { type: "altered", what: "the payload differs outside of the redacted values" };
  }
  return { type: "ok", redactions: walk.redactions };
}

/** The texts that stand at personal members, without those that may be read elsewhere in the same payload. */
export function personalTexts(published: WrittenPayload, members: readonly PersonalMember[]): string[] {
  const texts = new Set<string>();
  const without = (value: unknown, parent: string | null): unknown => {
    if (Array.isArray(value)) return value.map((one) => without(one, null));
    if (!isObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, child]) => {
        if (!members.some((member) => selects(member, parent, key))) return [key, without(child, key)];
        if (typeof child === "string" && child.length > 3) texts.add(child);
        return [key, null];
      }),
    );
  };
  const rest = without(published.value, null);
  const readable = isObject(rest) ? published.write(rest) : "";
  return [...texts].filter((text) => !readable.includes(text));
}

/** Builds the payload that should have been received, with the redacted values that were. */
class Comparison {
  leak: string | null = null;
  wrong: string | null = null;
  redactions = 0;
  readonly #members: readonly PersonalMember[];

  constructor(members: readonly PersonalMember[]) {
    this.#members = members;
  }

  expected(original: unknown, received: unknown, parent: string | null): unknown {
    if (Array.isArray(original)) {
      const elements: readonly unknown[] = Array.isArray(received) ? received : [];
      return original.map((one, i) => this.expected(one, elements[i], null));
    }
    if (!isObject(original)) return original;
    const there = isObject(received) ? received : {};
    const entries: [string, unknown][] = [];
    for (const [key, value] of Object.entries(original)) {
      const member = this.#members.find((one) => selects(one, parent, key));
      if (member === undefined) entries.push([key, this.expected(value, there[key], key)]);
      else if (!(key in there)) this.#removed(member);
      else {
        this.#replaced(member, value, there[key]);
        entries.push([key, there[key]]);
      }
    }
    return Object.fromEntries(entries);
  }

  #removed(member: PersonalMember): void {
    this.redactions++;
    if (member.shown !== "nothing") this.wrong ??= `${nameOf(member)} is gone, expected: ${member.shown}`;
  }

  #replaced(member: PersonalMember, original: unknown, received: unknown): void {
    if (member.shown === "nothing" || JSON.stringify(received) === JSON.stringify(original)) {
      this.leak ??= `${nameOf(member)} can be read`;
      return;
    }
    this.redactions++;
    if (typeof original !== "string") return;
    const as = member.shown === "domain" ? maskedAddress(original) : /^psn_[\w-]{8}_[\w-]{22}$/;
    const right = typeof as === "string" ? received === as : as.test(String(received));
    if (!right) this.wrong ??= `${nameOf(member)} is hidden in another way, expected: ${member.shown}`;
  }
}

function maskedAddress(address: string): string {
  const at = address.lastIndexOf("@");
  return at < 0 ? "***" : `***${address.slice(at)}`;
}

function selects(member: PersonalMember, parent: string | null, key: string): boolean {
  return member.key === key && (member.parent === null || member.parent === parent);
}

function nameOf(member: PersonalMember): string {
  return member.parent === null ? member.key : `${member.parent}.${member.key}`;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
