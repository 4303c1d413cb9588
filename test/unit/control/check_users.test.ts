/** What is wrong with users that their schema cannot see, and what their schema sees. */
import { describe, expect, test } from "bun:test";
import { checkUsers } from "../../../src/control/check_users.ts";
import { currentUsers, desiredTenant } from "../../../src/model/desired.ts";
import { TenantUser } from "../../../src/model/schema/user.ts";

const KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const HASH = `$2b$04$${"a".repeat(53)}`;

describe("checkUsers()", () => {
  test("reports a name that is there twice, subjects of others, and a log that is not kept", () => {
    const users: TenantUser[] = [
      { name: "a", key: KEY },
      { name: "a", passwordHash: HASH, role: "publisher", subjects: ["acme.x", "globex.x", ">"] },
      { name: "b", passwordHash: HASH, role: "subscriber", log: true },
    ];
    expect(checkUsers({ tenant: "acme", users, log: false }).map(({ path }) => path)).toEqual([
      "users[1].name",
      "users[1].subjects[1]",
      "users[1].subjects[2]",
      "users[2].log",
    ]);
  });
});

describe("TenantUser", () => {
  const problems = (user: object) =>
    (TenantUser.safeParse({ name: "a", ...user }).error?.issues ?? []).map(({ path }) => path.join("."));

  test("has a key or a hash, and not both", () => {
    expect(problems({ key: KEY })).toEqual([]);
    expect(problems({ passwordHash: HASH })).toEqual([]);
    expect(problems({})).toEqual(["key"]);
    expect(problems({ key: KEY, passwordHash: HASH })).toEqual(["key"]);
  });

  test("takes no password in clear, and never repeats one", () => {
    const { error } = TenantUser.safeParse({ name: "a", passwordHash: "hunter2hunter2" });
    expect(error?.issues).toHaveLength(1);
    expect(JSON.stringify(error?.issues)).not.toContain("hunter2");
  });

  test("takes no hash that would keep the server busy", () => {
    expect(problems({ passwordHash: `$2b$13$${"a".repeat(53)}` })).toEqual(["passwordHash"]);
    expect(problems({ passwordHash: `$2b$31$${"a".repeat(53)}` })).toEqual(["passwordHash"]);
  });

  test("has subjects, log and mqtt only where they mean something", () => {
    expect(problems({ key: KEY, subjects: ["acme.x"] })).toEqual(["subjects"]);
    expect(problems({ key: KEY, role: "publisher", log: true })).toEqual(["log"]);
    expect(problems({ key: KEY, mqtt: true })).toEqual(["mqtt"]);
    expect(problems({ key: KEY, expires: "tomorrow" })).toEqual(["expires"]);
  });
});

test("currentUsers() leaves out whose time is over, at that very moment", () => {
  const tenant = desiredTenant({
    tenant: "acme",
    users: [
      { name: "a", key: KEY, expires: "2030-01-01T00:00:00Z" },
      { name: "b", passwordHash: HASH },
    ],
  });
  const names = (now: string) =>
    currentUsers({ site: "berlin", peers: [], tenants: [tenant] }, new Date(now)).tenants[0]?.users.map(
      ({ name }) => name,
    );
  expect(names("2029-12-31T23:59:59.999Z")).toEqual(["a", "b"]);
  expect(names("2030-01-01T00:00:00Z")).toEqual(["b"]);
});
