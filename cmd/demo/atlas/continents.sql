-- The table that demo -mysql reads. Feed it to mariadb or mysql with the database's name.
CREATE TABLE continents (
  continent_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  continent_name VARCHAR(50) NOT NULL UNIQUE
);
INSERT INTO continents (continent_name) VALUES
  ('Africa'), ('Antarctica'), ('Asia'), ('Europe'), ('North America'), ('Oceania'), ('South America');
