/** A user of a tenant: who an app is, and what it may do. */
import { z } from "zod";
import { userLogin } from "../names.ts";
import { Name, Pattern, PublicKey } from "./scalars.ts";

/** What a user may do; see docs/users.md and `src/nats/roles.ts`. */
export const ROLES = ["publisher", "subscriber", "app", "owner"] as const;
export type Role = (typeof ROLES)[number];
/** Of users that name none. */
export const DEFAULT_ROLE: Role = "app";

/** The work of checking a password: the server does it at each connect, for whoever knows a user's name. */
const LEAST_BCRYPT_COST = 4;
const MOST_BCRYPT_COST = 12;
const MOST_SUBJECTS = 64;

/** A bcrypt hash. A value that is none may be a password: it is never repeated in a message. */
const PasswordHash = z
  .string()
  .superRefine((text, context) => {
    const cost = Number(/^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text)?.[1] ?? Number.NaN);
    if (cost >= LEAST_BCRYPT_COST && cost <= MOST_BCRYPT_COST) return;
    const message = Number.isNaN(cost)
      ? "this is no bcrypt hash ($2b$…): passwords in clear have no place here"
      : `the cost of this hash is ${cost} (expected ${LEAST_BCRYPT_COST} to ${MOST_BCRYPT_COST})`;
    context.addIssue({ code: "custom", message });
  })
  .meta({ description: "bcrypt hash of the user's password, as `leafmesh tenant user add` makes it" });

const Instant = z.iso
  .datetime({
    offset: true,
    error: (issue) =>
      `'${String(issue.input)}' is no time (expected RFC 3339, for example 2027-01-31T00:00:00Z)`,
  })
  .meta({ example: "2027-01-31T00:00:00Z" });

export const TenantUser = z
  .strictObject({
    name: Name,
    key: PublicKey.optional(),
    passwordHash: PasswordHash.optional(),
    role: z
      .enum(ROLES)
      .optional()
      .meta({ description: `What the user may do; default ${DEFAULT_ROLE}` }),
    subjects: z.array(Pattern).min(1).max(MOST_SUBJECTS).optional().meta({
      description: "Publisher and subscriber: these subjects of the tenant alone; default all of them",
    }),
    log: z.boolean().optional().meta({
      description: "Subscriber: a durable consumer of its own on the tenant's log; default false",
    }),
    mqtt: z.boolean().optional().meta({
      description: "With a password: connects over MQTT, and over nothing else; default false",
    }),
    expires: Instant.optional().meta({ description: "From then on the user is nobody; default: never" }),
  })
  .superRefine((user, context) => {
    const report = (field: "key" | "subjects" | "log" | "mqtt", message: string) =>
      context.addIssue({ code: "custom", path: [field], message });
    const { key, passwordHash, role = DEFAULT_ROLE } = user;
    if (key === undefined && passwordHash === undefined) {
      report("key", "a user has a 'key' or a 'passwordHash'");
    } else if (key !== undefined && passwordHash !== undefined) {
      report("key", "a user has a 'key' or a 'passwordHash', not both");
    }
    if (user.mqtt === true && passwordHash === undefined) {
      report("mqtt", "clients of MQTT have no nkeys: 'mqtt' goes with a 'passwordHash'");
    }
    if (user.mqtt === true && user.log === true) {
      report("log", "clients of MQTT cannot read the log: 'log' does not go with 'mqtt'");
    }
    if (user.subjects !== undefined && role !== "publisher" && role !== "subscriber") {
      report("subjects", `'subjects' goes with the roles publisher and subscriber, not with ${role}`);
    }
    if (user.log === true && role !== "subscriber") {
      report("log", `'log' goes with the role subscriber, not with ${role}`);
    }
  })
  .meta({
    id: "TenantUser",
    description: "An app's user in the tenant's account: the public half of its nkey, or a password's hash",
  });
export type TenantUser = z.infer<typeof TenantUser>;

/** The user's role. */
export function roleOf(user: TenantUser): Role {
  return user.role ?? DEFAULT_ROLE;
}

/** What the server calls the user: its public key, or the name that it logs in with. */
export function loginOf(tenant: string, user: TenantUser): string {
  return user.key ?? userLogin(tenant, user.name);
}

/** Whether the user is nobody any more. */
export function isExpired(user: TenantUser, now: Date): boolean {
  return user.expires !== undefined && Date.parse(user.expires) <= now.getTime();
}
