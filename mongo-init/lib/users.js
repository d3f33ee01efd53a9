// The users, each with what it needs and nothing more.

// What MongoDB says of itself: how long its oplog reaches back, and for how long it can read the past. It is a small
// part of the built-in role clusterMonitor.
const OBSERVER = {
  role: "replicationObserver",
  privileges: [
    { resource: { cluster: true }, actions: ["serverStatus", "getParameter"] },
    { resource: { db: "local", collection: "oplog.rs" }, actions: ["find", "collStats"] },
  ],
};

function usersOf(settings) {
  const observer = { role: OBSERVER.role, db: "admin" };
  const onDatabase = (role) => ({ role, db: settings.database });
  return [
    // `read` allows find, listCollections and changeStream.
    { ...settings.replicator, roles: [onDatabase("read"), observer] },
    // The generator writes; the reconciliation reads at a cluster time and asks how far back that works.
    { ...settings.airflow, roles: [onDatabase("readWrite"), observer] },
  ];
}

const REFUSED =
  "MongoDB refuses MONGO_ROOT_PASSWORD: its volume was made with another one; set that one in .env again, or change " +
  "the password of root in MongoDB first";

// MongoDB allows this to its own machine, once, and on a primary only.
function createAdministrator(admin, root) {
  waitForPrimary(admin);
  try {
    admin.runCommand({ createUser: root.name, pwd: root.password, roles: ["root"] });
  } catch (error) {
    throw error.codeName === "Unauthorized" ? new Refusal(REFUSED) : error;
  }
  say("administrator: created");
  if (!signsIn(admin, root)) {
    throw new Refusal("MongoDB refuses the administrator that was just created");
  }
}

function signsIn(admin, user) {
  try {
    return Boolean(admin.auth(user.name, user.password));
  } catch (error) {
    if (error.codeName === "AuthenticationFailed") {
      return false;
    }
    throw error;
  }
}

function ensureUser(admin, user) {
  const described = { pwd: user.password, roles: user.roles };
  if (admin.runCommand({ usersInfo: { user: user.name, db: "admin" } }).users.length > 0) {
    admin.runCommand({ updateUser: user.name, ...described });
    return "there already, with the password of the environment";
  }
  admin.runCommand({ createUser: user.name, ...described });
  return "created";
}

function ensureObserver(admin) {
  const { role, privileges } = OBSERVER;
  const known = admin.runCommand({ rolesInfo: { role, db: "admin" } }).roles.length > 0;
  const name = known ? { updateRole: role } : { createRole: role };
  admin.runCommand({ ...name, privileges, roles: [] });
}
