/** `init`: the first site file. */
import { join } from "node:path";
import { LeafmeshError } from "../../model/errors.ts";
import { nameProblem } from "../../model/names.ts";
import { argument, type Command } from "../command.ts";

export const INIT: Command = {
  name: "init",
  args: ["<site>"],
  about: "writes a commented site.yaml to start from",
  flags: { dir: { value: "DIR", about: "folder that gets it (default .)" } },
  run: async (call) => {
    const site = argument(call, 0);
    const problem = nameProblem(site);
    if (problem !== null) throw new LeafmeshError("request_invalid", `'${site}' ${problem}`);
    const dir = call.flag("dir") ?? ".";
    const file = join(dir, "site.yaml");
    await call.effects.createFile(file, siteFile(site), 0o644);
    const data = join(dir, "leafmesh-data", site);
    const text = [
      `${file} is written. Next:`,
      `  leafmesh up ${file}`,
      `      starts nats-server and the sidecar; the first start makes the keys and the admin token in ${join(data, "keys")}`,
      "  leafmesh status",
      "      shows the site key, to give to peers",
      "  leafmesh tenant add acme",
      "      makes a tenant and the key of its first app",
      "  leafmesh peer add tokyo --key U… --dial nats-leaf://host:7422",
      "      links with another site",
    ].join("\n");
    return { json: { site, file, data }, text };
  },
};

function siteFile(site: string): string {
  return `# A site of Leafmesh: one nats-server and its sidecar. Start it with: leafmesh up site.yaml
# The first start takes peers and tenants from here. After that the state lives in the site:
# change it with 'leafmesh apply -f', 'leafmesh tenant …', 'leafmesh peer …' or the API.
site: ${site}

# Where keys, the admin token and all events are kept, relative to this file.
# data: leafmesh-data/${site}

server:
  listen: 127.0.0.1:4222 # apps connect here; 0.0.0.0:4222 for those of other machines
  leaf: 127.0.0.1:7422 # peers connect here; 0.0.0.0:7422 for those of other machines
  # sync: always # or an interval such as 2s: faster, and a power cut may lose that much

api:
  listen: 127.0.0.1:7480 # the admin API; its token stands in <data>/keys/api.token

# Sites that this one has a link with. One of the two dials; both name each other.
peers: []
#  - name: tokyo
#    key: U…                            # the site key that 'leafmesh status' shows there
#    dial: nats-leaf://tokyo.example:7422

# Who uses the site. A tenant's subjects start with its name.
tenants: []
#  - tenant: acme
#    users:
#      - { name: app, key: U… }         # the public half of the app's nkey
#    exports:                           # what leaves: the first rule that matches decides, nothing matched stays
#      - name: eu-orders
#        to: [tokyo]
#        rules:
#          - subjects: ["acme.orders.>"]
#            when: '"region" in headers && headers["region"] == "EU"'
#            redact:
#              - { path: $.customer.email, with: mask, keep: domain }
#    imports:                           # what is accepted
#      - { from: tokyo, subjects: ["acme.orders.>"] }
`;
}
