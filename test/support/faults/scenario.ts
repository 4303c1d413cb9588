/** What the fault machine publishes, which policies it puts in force, and what must become of each event: told without the engine. */
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";

export const SITES = ["berlin", "austin", "tokyo"] as const;
export type SiteName = (typeof SITES)[number];

/**
 * `acme` is a view whose rules change; `globex` a native route whose subjects change; `initech` changes between native and
 * view, with the same events allowed by both.
 */
export const TENANTS = ["acme", "globex", "initech"] as const;
export type TenantName = (typeof TENANTS)[number];

/**
 * `orders` always cross; `offers` cross while the version in force allows their region (view) or names them (native);
 * `debug` is denied by a rule or matches none; `private` matches none.
 */
export const CLASSES = ["orders", "offers", "debug", "private"] as const;
export type EventClass = (typeof CLASSES)[number];

/** Subject keys of one origin and tenant: most are `orders`. */
export const KEYS = 40;
export function classOf(key: number): EventClass {
  const part = key % 10;
  if (part < 6) return "orders";
  if (part < 8) return "offers";
  return part === 8 ? "debug" : "private";
}

const REGIONS = ["EU", "US", "AP"] as const;
/** The header that tells which version of a policy let an event out. */
export const VERSION_HEADER = "policy-version";
/** In every value that must not cross a view. */
export const SECRET_MARK = "leak-";

/** An event of an origin and tenant, numbered from 0. */
export interface NumberedEvent {
  readonly origin: SiteName;
  readonly tenant: TenantName;
  readonly serial: number;
  readonly key: number;
}

export function subjectOf({ tenant, key }: Pick<NumberedEvent, "tenant" | "key">): string {
  return `${tenant}.${classOf(key)}.k${key}`;
}

/** Its id: a retry is the same event. */
export function idOf({ origin, tenant, serial }: NumberedEvent): string {
  return `${origin}-${tenant}-${serial}`;
}

function regionOf(serial: number): string {
  return REGIONS[serial % REGIONS.length] ?? "EU";
}

/** The payload as published; `total` and the white space must survive as they are. */
export function payloadOf(event: NumberedEvent): string {
  return `${head(event)}, "email": "${secretOf(event)}"${tail(event)}`;
}

function head({ serial, key }: NumberedEvent): string {
  return `{"i":${serial},"key":${key},"region":"${regionOf(serial)}"`;
}
function tail({ serial }: NumberedEvent): string {
  return `, "total": ${serial}.10,"note":"${"x".repeat(120 + (serial % 90))}"}`;
}
function secretOf({ origin, tenant, serial }: NumberedEvent): string {
  return `${SECRET_MARK}${origin}-${tenant}-${serial}@example.net`;
}

/** What must become of an event under a version of its tenant's policy. `stamp`: it carries the version. */
export type Verdict =
  | { readonly type: "forward"; readonly payload: string; readonly stamp: boolean }
  | { readonly type: "stay" };

/** The version 0 is in force at the start; each change goes on to the next number. */
export function verdictOf(event: NumberedEvent, version: number): Verdict {
  const kind = classOf(event.key);
  if (kind === "debug" || kind === "private") return { type: "stay" };
  switch (event.tenant) {
    case "acme": {
      if (kind === "offers" && !acmeRegions(version).includes(regionOf(event.serial)))
        return { type: "stay" };
      const email = acmeMasks(version) ? ', "email": "***"' : "";
      return { type: "forward", payload: `${head(event)}${email}${tail(event)}`, stamp: true };
    }
    case "globex":
      if (kind === "offers" && !globexOffers(version)) return { type: "stay" };
      return { type: "forward", payload: payloadOf(event), stamp: false };
    case "initech":
      return { type: "forward", payload: payloadOf(event), stamp: initechIsView(version) };
  }
}

const acmeRegions = (version: number): readonly string[] =>
  REGIONS.filter((_, index) => index !== version % REGIONS.length);
const acmeMasks = (version: number): boolean => version % 2 === 1;
const globexOffers = (version: number): boolean => version % 2 === 0;
const initechIsView = (version: number): boolean => version % 2 === 1;

/** The export policy of a tenant in a version, from one site to the others. */
export function policyOf(tenant: TenantName, version: number, from: SiteName): ExportPolicy {
  const to = SITES.filter((site) => site !== from);
  const stamp = { headers: { set: { [VERSION_HEADER]: `v${version}` } } };
  switch (tenant) {
    case "acme": {
      const shared = {
        ...stamp,
        redact: [
          {
            path: "$.email",
            ...(acmeMasks(version) ? { with: "mask" as const } : { with: "remove" as const }),
          },
        ],
      };
      const regions = acmeRegions(version).map((region) => `data.region == "${region}"`);
      return {
        name: "out",
        to,
        rules: [
          { name: "debug", subjects: ["acme.debug.>"], deny: true },
          { name: "orders", subjects: ["acme.orders.>"], ...shared },
          { name: "offers", subjects: ["acme.offers.>"], when: regions.join(" || "), ...shared },
        ],
      };
    }
    case "globex":
      return {
        name: "out",
        to,
        rules: [
          {
            name: "all",
            subjects: ["globex.orders.>", ...(globexOffers(version) ? ["globex.offers.>"] : [])],
          },
        ],
      };
    case "initech":
      return {
        name: "out",
        to,
        rules: [
          {
            name: "all",
            subjects: ["initech.orders.>", "initech.offers.>"],
            ...(initechIsView(version) ? stamp : {}),
          },
        ],
      };
  }
}
