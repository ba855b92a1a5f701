-- The key that enrolment codes are digested under is derived from the seal: nothing in the database opens anything.
DROP TABLE secrets;
