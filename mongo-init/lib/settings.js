// What the environment says, and how anything is said.

class Refusal extends Error {}

// Passwords become parts of addresses, in which other characters would have to be escaped.
const PLAIN = /^[A-Za-z0-9._~-]+$/;

function say(line) {
  print(`mongo-init: ${line}`);
}

function readSettings(environment) {
  const problems = [];
  const plain = (name) => {
    const value = environment[name] ?? "";
    if (value === "") {
      problems.push(`${name} is missing`);
    } else if (!PLAIN.test(value)) {
      problems.push(`${name} may only have letters, digits and the characters . _ ~ -`);
    }
    return value;
  };
  const images = environment.MONGO_PRE_AND_POST_IMAGES || "off";
  if (images !== "on" && images !== "off") {
    problems.push("MONGO_PRE_AND_POST_IMAGES is neither on nor off");
  }
  const database = environment.MONGO_DATABASE || "origin";
  // It is the name of a schema in PostgreSQL, too.
  if (!/^[a-z_][a-z0-9_]*$/.test(database) || ["admin", "local", "config"].includes(database)) {
    problems.push("MONGO_DATABASE may only have small letters, digits and _, and is none of MongoDB's own");
  }
  const settings = {
    address: environment.MONGO_ADDRESS || "127.0.0.1:27017",
    member: environment.MONGO_MEMBER || "mongo-origin:27017",
    replicaSet: "rs0",
    database,
    images: images === "on",
    root: { name: "root", password: plain("MONGO_ROOT_PASSWORD") },
    replicator: { name: "replicator", password: plain("MONGO_REPLICATOR_PASSWORD") },
    airflow: { name: plain("MONGO_DB_CONN_LOGIN"), password: plain("MONGO_DB_CONN_PASSWORD") },
  };
  if (["root", "replicator"].includes(settings.airflow.name)) {
    problems.push("MONGO_DB_CONN_LOGIN is the name of another user");
  }
  if (problems.length > 0) {
    throw new Refusal(`${problems.join("; ")} (see .env and .env-dev)`);
  }
  return settings;
}
