// Makes a mongod that was started with a key file ready: `mongosh --nodb --quiet --file main.js`. Again changes nothing.
//
// 1. Wait until it answers, and sign in as the administrator if there is one.
// 2. Initiate the replica set if there is none.
// 3. Create the administrator if there is no user at all.
// 4. Mend the name of the set's member; wait for the primary.
// 5. Create the users with least privileges; mend their roles and passwords.
// 6. Switch on pre- and post-images, if wanted.
//
// A step that was interrupted is done by the next run. It has to run on the server's own machine (in its network
// namespace): MongoDB lets only that one create the first user. Secrets come from the environment and are never shown.

const path = require("node:path");
for (const part of ["settings", "replica_set", "users", "images"]) {
  load(path.join(path.dirname(__filename), "lib", `${part}.js`));
}

function initialise() {
  const settings = readSettings(process.env);
  const connection = reach(settings.address);
  const admin = connection.getDB("admin");
  const isKnown = signsIn(admin, settings.root);
  initiate(admin, settings);
  if (!isKnown) {
    createAdministrator(admin, settings.root);
  }
  mendMember(admin, settings.member);
  waitForPrimary(admin);
  ensureObserver(admin);
  for (const user of usersOf(settings)) {
    say(`user ${user.name}: ${ensureUser(admin, user)}`);
  }
  if (settings.images) {
    say(`pre- and post-images: ${enableImages(connection.getDB(settings.database))}`);
  }
}

let failure = null;
try {
  initialise();
} catch (error) {
  failure = error;
}
if (failure !== null) {
  // Of an error that nobody expected only the name and the code: its text may quote a command with a password.
  const told = failure instanceof Refusal ? failure.message : `${failure.codeName ?? failure.name} (${failure.code ?? "no code"})`;
  process.stderr.write(`error: ${told}\n`);
  quit(1);
}
say("ready");
quit(0);
