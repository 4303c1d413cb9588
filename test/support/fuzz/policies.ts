/**
 * Random policies, made of small pieces. Every rule that lets something pass hides the places where secrets are planted: members
 * named {@linkcode SECRET_NAMES} at any depth, the texts of members named `note`, and the header {@linkcode SECRET_HEADER}. A piece that the schema does not know is left out,
 * so that what is built next can stand here before it is there.
 */
import fc from "fast-check";
import { LeafmeshError } from "../../../src/model/errors.ts";
import type { SchemaDocument } from "../../../src/model/schema/contract.ts";
import { ExportPolicy, Redaction, Rule } from "../../../src/model/schema/policy.ts";
import { checkTenant } from "../../../src/policy/check.ts";
import { compilePolicy } from "../../../src/policy/compile.ts";

/** Names of the members that hold secrets. */
export const SECRET_NAMES = ["secret", "token"] as const;
/** The header that holds one, in whatever case. */
export const SECRET_HEADER = "x-secret";

/** A detector of the texts among the secrets. */
const SECRET_DETECTOR = { name: "planted", pattern: "Qz7sEcReT[0-9a-z]{6}" };

const BASE = { subjects: ["acme.>"] };

function known<T>(
  schema: { safeParse(value: unknown): { success: boolean; data?: T } },
  values: readonly object[],
) {
  return values.flatMap((value) => {
    const parsed = schema.safeParse(value);
    return parsed.success ? [value] : [];
  });
}

/** What may be done with a secret: no part of it that stays is as long as the mark. */
const ACTIONS = known(
  Redaction,
  [
    { with: "remove" },
    { with: "mask" },
    { with: "mask", keep: "domain" },
    { with: "mask", keep: "length" },
    { with: "mask", keep: { first: 2 } },
    { with: "mask", keep: { last: 3 } },
    { with: "mask", keep: { first: 1, last: 2 } },
    { with: "pseudonym" },
    { with: "replace", value: "[gone]" },
    { with: "replace", value: null },
    { with: "replace", value: 0 },
    { with: "truncate", length: 3 },
    { with: "encrypt" },
  ].map((action) => ({ ...action, path: "$.a" })),
).map(({ path: _, ...action }: { path?: string }) => action);

const action = fc.constantFrom(...ACTIONS);

/** Paths that reach a name at any depth. */
const pathOf = (name: string) =>
  fc.constantFrom(`$..${name}`, `$..["${name}"]`, `$..['${name}']`, `$..["${name}","other"]`);

/** Finds the secrets that stand in the middle of other text. */
const inText = fc.constantFrom(
  ...known(Redaction, [
    ...[{ with: "mask" }, { with: "mask", keep: { last: 2 } }, { with: "remove" }, { with: "pseudonym" }].map(
      (how) => ({
        detect: [SECRET_DETECTOR],
        ...how,
      }),
    ),
    { detect: ["email", SECRET_DETECTOR, "card"], with: "replace", value: "[gone]" },
    { path: "$..note", detect: ["phone", SECRET_DETECTOR], with: "mask" },
    { path: "$..note", with: "mask" },
    { path: "$..note", with: "remove" },
  ]),
);

/** Redactions that hide every secret. */
export const cover: fc.Arbitrary<object[]> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(fc.tuple(...SECRET_NAMES.map((name) => fc.tuple(pathOf(name), action))), inText)
      .map(([pairs, text]) => [...pairs.map(([path, how]): object => ({ path, ...how })), text]),
  },
  { weight: 1, arbitrary: fc.constant<object[]>([{ path: "$..*", with: "mask" }]) },
  { weight: 1, arbitrary: fc.constant<object[]>([{ path: "$", with: "mask" }]) },
);

/** Redactions of what holds no secret, or a part of one; stronger ones may win. */
const further = fc.constantFrom(
  ...known(Redaction, [
    { path: "$.person.name", with: "mask" },
    { path: "$.list[0]", with: "remove" },
    { path: "$.list[*].id", with: "pseudonym" },
    { path: "$.list[-1:]", with: "mask" },
    { path: "$..note", with: "mask" },
    { path: "$.*", with: "mask", keep: { last: 2 } },
    { path: "$.person.*", with: "pseudonym" },
    { detect: ["email", "phone"], with: "mask" },
    { detect: ["card", "iban", "ip", "token"], with: "remove" },
    { detect: [{ name: "employee", pattern: "EMP-[0-9]{6}" }], with: "replace", value: "EMP" },
  ]),
);

/** Header rules that let no secret header pass. */
const headerRules = fc.constantFrom(
  ...known(
    Rule,
    [
      { drop: [SECRET_HEADER] },
      { drop: ["X-*"] },
      { drop: ["x-s*", "trace"], set: { "x-class": "shared" } },
      { drop: ["X-Secret"], set: { note: "ok" } },
      { keep: ["region", "fuzz-id"] },
      { mask: [SECRET_HEADER] },
      { drop: [SECRET_HEADER], rename: { region: "area" } },
    ].map((headers) => ({ ...BASE, headers })),
  ).map((rule) => (rule as { headers: object }).headers),
);

const CONDITIONS = [
  "true",
  'subject.startsWith("acme.orders")',
  '"region" in headers && headers["region"] == "EU"',
  "data.total > 10.0",
  "has(data.person) && size(data.list) > 1",
  'data.list.exists(x, x.id == 1) || origin == "berlin"',
  "size < 400",
  'data.person.name.matches("^[a-z]+$")',
  "data.big == 9007199254740993",
  'data.person.secret != "x"',
  "data.list.all(x, has(x.token))",
  'tokens[1] == "orders" ? data.total > 5.0 : true',
];

/** One of the values of a field, of those that the schema knows. */
function pieces(values: readonly object[]): fc.Arbitrary<object>[] {
  const some = values.filter((value) => Rule.safeParse({ ...BASE, ...value }).success);
  return some.length === 0 ? [] : [fc.constantFrom(...some)];
}

/** Schemas of the tenant that rules may name. */
export const SCHEMAS: SchemaDocument[] = [
  {
    name: "order",
    compatibility: "none",
    versions: [
      { version: 1, schema: { type: "object", required: ["id", "person"] } },
      {
        version: 2,
        schema: {
          type: "object",
          required: ["id"],
          properties: { total: { type: "number", minimum: 4 }, list: { items: { required: ["token"] } } },
        },
      },
    ],
  },
  {
    name: "strict",
    versions: [
      {
        version: 1,
        schema: {
          properties: { person: { properties: { secret: { type: "string", maxLength: 20 } } }, token: false },
          propertyNames: { pattern: "^[a-z]+$" },
        },
      },
    ],
  },
];

/** Fields of a rule that may stand or not. */
const OPTIONAL: readonly fc.Arbitrary<object>[] = [
  fc.constantFrom(...CONDITIONS.map((when) => ({ when }))),
  ...pieces([{ schema: "order" }, { schema: "order@1" }, { schema: "strict" }]),
  ...pieces([
    { limit: { maxSize: "64KiB" } },
    { limit: { maxSize: "700B" } },
    { limit: { messages: "100000/s", bytes: "100MiB/s" } },
    { limit: { messages: "300/s", burst: "100ms", onLimit: "drop" } },
  ]),
  ...pieces([
    { envelope: "cloudevents" },
    { envelope: "cloudevents-structured" },
    { envelope: { in: "structured", out: "binary" } },
    { envelope: { in: "none", out: "structured", type: "com.example.event" } },
    { envelope: { out: "structured" } },
  ]),
];

/** What a rule reads, and perhaps where it puts it. */
const ANYWHERE: readonly object[] = known(Rule, [
  { subjects: ["acme.>"] },
  { subjects: ["acme.orders.>"] },
  { subjects: ["acme.orders.*", "acme.*.new"] },
  { subjects: ["acme.*.*"] },
  { subjects: ["acme.people.>"], rewrite: "acme.shared.people.>" },
  { subjects: ["acme.stock.*"], rewrite: "acme.goods.*.stock" },
]);
const ORDERS_AND_STOCK: readonly object[] = [
  { subjects: ["acme.orders.>"] },
  { subjects: ["acme.orders.*", "acme.stock.>"] },
  { subjects: ["acme.stock.new", "acme.orders.new"] },
];
const PEOPLE: readonly object[] = known(Rule, [
  { subjects: ["acme.people.>"], rewrite: "acme.shared.people.>" },
]);

const perhaps = (piece: fc.Arbitrary<object>): fc.Arbitrary<object> =>
  fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: piece });

/** A random rule that hides every secret. */
const hiding = (subjects: readonly object[]): fc.Arbitrary<object> =>
  fc
    .tuple(
      fc.constantFrom(...subjects),
      cover,
      fc.array(further, { maxLength: 3 }),
      headerRules,
      fc.tuple(...OPTIONAL.map(perhaps)),
    )
    .map(([on, hides, more, headers, pieces]) =>
      Object.assign({ ...on, redact: [...hides, ...more], headers }, ...pieces),
    );

/** A random rule that lets nothing pass. */
const denying = fc
  .tuple(fc.constantFrom(["acme.>"], ["acme.stock.>"], ["acme.orders.new"]), fc.constantFrom(...CONDITIONS))
  .map(([subjects, when]): object => ({ subjects, when, deny: true }));

const rules = (subjects: readonly object[]) =>
  fc.array(fc.oneof({ weight: 9, arbitrary: hiding(subjects) }, { weight: 1, arbitrary: denying }), {
    minLength: 1,
    maxLength: 5,
  });

/** Random policies that compile. */
export function policyOf(name: string, to: readonly string[]): fc.Arbitrary<ExportPolicy> {
  return valid(
    rules(ANYWHERE).map((all) => ({ name, to: [...to], rules: [...all, { ...BASE, deny: true }] })),
  );
}

/**
 * Random policies that all read the same subjects and send to the same: when one follows the other, each event of
 * {@linkcode fuzzEvent} is decided, and what the one has let pass still crosses.
 */
export function successiveOf(name: string, to: readonly string[]): fc.Arbitrary<ExportPolicy> {
  const last = { subjects: ["acme.orders.>", "acme.stock.>"], when: "false" };
  return valid(
    fc
      .tuple(hiding(PEOPLE), rules(ORDERS_AND_STOCK))
      .map(([people, all]) => ({ name, to: [...to], rules: [people, ...all, last] })),
  );
}

function valid(policies: fc.Arbitrary<object>): fc.Arbitrary<ExportPolicy> {
  return policies.filter(compiles).map((policy) => ExportPolicy.parse(policy));
}

/** Key of pseudonyms in tests. */
const KEY = { id: "k1", secret: new TextEncoder().encode("a secret of the site") };
export const POLICY_KEYS = { pseudonym: KEY, encrypt: { ...KEY, secret: new Uint8Array(32).fill(3) } };

function compiles(policy: object): boolean {
  const parsed = ExportPolicy.safeParse(policy);
  if (!parsed.success) return false;
  // As a site says of it: rules that can never match, rewrites that collide.
  const tenant = { tenant: "acme", exports: [parsed.data], schemas: SCHEMAS };
  if (checkTenant("berlin", tenant, parsed.data.to).length > 0) return false;
  try {
    compilePolicy({ tenant: "acme", policy: parsed.data, keys: POLICY_KEYS, schemas: SCHEMAS });
    return true;
  } catch (thrown) {
    if (thrown instanceof LeafmeshError) return false;
    throw thrown;
  }
}
