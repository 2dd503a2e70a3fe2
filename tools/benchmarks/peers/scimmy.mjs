// scimmy on express, as its documentation shows it, with the people in memory.
//
// A filter `userName eq "…"` is answered from a map: a real user of scimmy has an index, while
// scimmy's own matching would test every user.

import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";

const packages = new URL("../../../requirements/peers/scimmy/package.json", import.meta.url);
const require = createRequire(packages);
const express = require("express");
const SCIMMY = require("scimmy").default ?? require("scimmy");
const SCIMMYRouters = require("scimmy-routers").default ?? require("scimmy-routers");

const { PEER_TOKEN, PEER_PORT, PEER_PEOPLE } = process.env;

class Store {
    #byId = new Map();
    #idByName = new Map();
    #key;

    constructor(key) {
        this.#key = key;
    }

    write(id, data) {
        const name = data[this.#key].toLowerCase();
        const other = this.#idByName.get(name);
        if (other !== undefined && other !== id) throw new SCIMMY.Types.Error(409, "uniqueness", "It is already in use.");
        const now = new Date();
        const old = this.#byId.get(id);
        if (old) this.#idByName.delete(old[this.#key].toLowerCase());
        const newId = id ?? randomUUID();
        const stored = { ...data, id: newId, meta: { created: old?.meta.created ?? now, lastModified: now } };
        this.#byId.set(newId, stored);
        this.#idByName.set(name, newId);
        return stored;
    }

    read({ id, filter }) {
        if (id) {
            if (!this.#byId.has(id)) throw new SCIMMY.Types.Error(404, null, `${id} does not exist.`);
            return this.#byId.get(id);
        }
        const wanted = equal(filter, this.#key);
        if (wanted !== undefined) {
            const found = this.#idByName.get(wanted.toLowerCase());
            return found ? [this.#byId.get(found)] : [];
        }
        const all = [...this.#byId.values()];
        return filter ? filter.match(all) : all;
    }
}

function equal(filter, key) {
    if (filter?.length !== 1) return undefined;
    const [[name, [operator, value]], ...others] = Object.entries(filter[0]);
    const plain = others.length === 0 && name === key && operator === "eq" && typeof value === "string";
    return plain ? value : undefined;
}

function serve(Resource, store) {
    return SCIMMY.Resources.declare(Resource)
        .ingress(({ id }, data) => store.write(id, data))
        .egress((resource) => store.read(resource));
}

const people = new Store("userName");
serve(SCIMMY.Resources.User, people).extend(SCIMMY.Schemas.EnterpriseUser);
serve(SCIMMY.Resources.Group, new Store("displayName"));
for (let n = 1; n <= Number(PEER_PEOPLE); n++) {
    const userName = `u${n}@bench.test`;
    people.write(undefined, {
        schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"],
        externalId: `u${n}`,
        userName,
        active: true,
        name: { givenName: "Ann", familyName: "Li", formatted: "Ann Li" },
        emails: [{ value: userName, type: "work", primary: true }],
    });
}

const wanted = `Bearer ${PEER_TOKEN}`;
const handler = (request) => {
    if (request.header("Authorization") !== wanted) throw new Error("Unknown token.");
};
const app = express();
app.use("/scim/v2", new SCIMMYRouters({ type: "bearer", handler }));
app.listen(Number(PEER_PORT), "127.0.0.1");
